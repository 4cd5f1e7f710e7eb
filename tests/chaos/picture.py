"""A run as a picture (SVG, no dependency): goals confirmed and ended over time, below them a lane for each service in
which a bar reaches from each fault to the next message that it handled. Pure."""

from collections.abc import Sequence
from html import escape

from tests.chaos.plan import CUT, FREEZE, HANG, KILL, Fault

WIDTH, LEFT, RIGHT, TOP, FLOOR, LANE, BAR = 960, 90, 50, 62, 290, 20, 12
LANES_TOP = FLOOR + 30
LEAST = 1.6
"""Width of a bar that would be too thin to be seen."""
COLOURS = {KILL: "#c0392b", HANG: "#8e44ad", FREEZE: "#2980b9", CUT: "#e08e0b"}
WORDS = {
    KILL: "killed (SIGKILL)", HANG: "hung until killed for it", FREEZE: "frozen for a moment", CUT: "connections cut"
}  # fmt: skip
STEPS_S = (5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)
TICKS = 10


def picture(confirmed: Sequence[float], ended: Sequence[float], faults: Sequence[Fault], *, title: str) -> str:
    """`confirmed`, `ended`: when, one time per goal, in seconds since the epoch."""
    times = [*confirmed, *ended, *(fault.recovered_at or fault.at for fault in faults)]
    begin, end = min([*times, *(f.at for f in faults)], default=0.0), max(times, default=1.0)
    span, most = max(1.0, end - begin), max(1, len(confirmed))
    lanes = sorted({fault.service for fault in faults})
    height = LANES_TOP + len(lanes) * LANE + 34

    def x(at: float) -> float:
        return round(LEFT + (at - begin) / span * (WIDTH - LEFT - RIGHT), 1)

    def curve(moments: Sequence[float], style: str) -> str:
        points = [f"{x(begin)},{FLOOR}"]
        for n, at in enumerate(sorted(moments), start=1):
            place = f"{round(x(at) * 2) / 2},{_y(n, most)}"
            if place.partition(",")[0] == points[-1].partition(",")[0]:
                points.pop()  # one point for each half of a pixel is enough for any number of goals
            points.append(place)
        return f'<polyline fill="none" {style} points="{" ".join(points)}"/>'

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        f'font-size="12"><rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{LEFT}" y="20" font-size="14">{escape(title)}</text>',
        *(_count(share, most) for share in (0, 0.5, 1)),
        *(_time(x(begin + at), at, height) for at in _ticks(span)),
        curve(confirmed, 'stroke="#9aa5ad" stroke-width="2" stroke-dasharray="5 3"'),
        curve(ended, 'stroke="#1b7f4d" stroke-width="2.5"'),
        *(_lane(n, service, faults) for n, service in enumerate(lanes)),
        *(_bar(f, x(f.at), x(f.recovered_at or end), lanes.index(f.service)) for f in faults),
        _legend(height),
    ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _y(count: float, most: int) -> float:
    return round(FLOOR - count / most * (FLOOR - TOP), 1)


def _ticks(span: float) -> list[float]:
    step = next((s for s in STEPS_S if span / s <= TICKS), STEPS_S[-1])
    return [float(n * step) for n in range(int(span // step) + 1)]


def _count(share: float, most: int) -> str:
    y = _y(share * most, most)
    line = f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}" stroke="#e4e7ea"/>'
    return line + f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end" fill="#555">{round(share * most)}</text>'


def _time(x: float, at: float, height: int) -> str:
    said = f"{at / 60:.0f} min" if at >= 60 and at % 60 == 0 else f"{at:.0f} s"
    line = f'<path d="M{x} {TOP}V{height - 30}" stroke="#f0f2f4"/>'
    return line + f'<text x="{x}" y="{FLOOR + 16}" text-anchor="middle" fill="#555">{said}</text>'


def _lane(n: int, service: str, faults: Sequence[Fault]) -> str:
    y, hits = LANES_TOP + n * LANE, sum(fault.service == service for fault in faults)
    back = f'<rect x="{LEFT}" y="{y}" width="{WIDTH - LEFT - RIGHT}" height="{BAR}" fill="#f4f6f7"/>'
    name = f'<text x="{LEFT - 8}" y="{y + 10}" text-anchor="end">{escape(service)}</text>'
    return back + name + f'<text x="{WIDTH - RIGHT + 6}" y="{y + 10}" fill="#555">{hits}</text>'


def _bar(fault: Fault, begin: float, end: float, lane: int) -> str:
    took = f"{fault.recovery_s:.1f} s" if fault.recovery_s is not None else "not"
    hint = escape(f"{fault.kind} {fault.instance} ({fault.held}): back after {took}")
    width, y = max(LEAST, round(end - begin, 1)), LANES_TOP + lane * LANE
    shape = f'x="{begin}" y="{y}" width="{width}" height="{BAR}" fill="{COLOURS.get(fault.kind, "#000")}"'
    return f'<rect {shape} fill-opacity="0.8"><title>{hint}</title></rect>'


def _legend(height: int) -> str:
    said = [
        f'<path d="M{LEFT} 41h24" stroke="#1b7f4d" stroke-width="2.5"/><text x="{LEFT + 30}" y="45">goals ended</text>',
        f'<path d="M{LEFT + 130} 41h24" stroke="#9aa5ad" stroke-width="2" stroke-dasharray="5 3"/>'
        f'<text x="{LEFT + 160}" y="45">publishes confirmed</text>',
        f'<text x="{LEFT + 320}" y="45" fill="#555">below: from each fault to the next message handled</text>',
    ]
    for n, (kind, words) in enumerate(WORDS.items()):
        x = LEFT + n * 190
        said.append(f'<rect x="{x}" y="{height - 21}" width="{BAR}" height="{BAR}" fill="{COLOURS[kind]}"/>')
        said.append(f'<text x="{x + 18}" y="{height - 11}">{words}</text>')
    return "".join(said)
