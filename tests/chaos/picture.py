"""A run as a picture (SVG, no dependency): goals confirmed and ended over time, each fault a line. Pure."""

from collections.abc import Sequence
from html import escape

from tests.chaos.plan import Fault

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 960, 400, 60, 60, 50
COLOURS = {
    "planner": "#c0392b", "memory": "#8e44ad", "inference": "#2980b9", "researcher": "#16a085", "writer": "#27ae60",
    "broker": "#d35400", "rabbitmq": "#d35400", "watchdog": "#7f8c8d", "postgres": "#2c3e50",
}  # fmt: skip


def picture(confirmed: Sequence[float], ended: Sequence[float], faults: Sequence[Fault], *, title: str) -> str:
    """`confirmed`, `ended`: when, one time per goal, in seconds since the epoch."""
    times = [*confirmed, *ended, *(fault.at for fault in faults)]
    begin, end = min(times, default=0.0), max(times, default=1.0)
    span, most = max(1.0, end - begin), max(1, len(confirmed))

    def x(at: float) -> float:
        return round(LEFT + (at - begin) / span * (WIDTH - LEFT - 20), 1)

    def y(count: float) -> float:
        return round(HEIGHT - BOTTOM - count / most * (HEIGHT - TOP - BOTTOM), 1)

    def curve(moments: Sequence[float], colour: str) -> str:
        points = [f"{x(begin)},{y(0)}", *(f"{x(at)},{y(n)}" for n, at in enumerate(sorted(moments), start=1))]
        return f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{" ".join(points)}"/>'

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-size="14">{escape(title)}</text>',
        *(_fault(fault, x(fault.at)) for fault in faults),
        curve(confirmed, "#bbbbbb"),
        curve(ended, "#000000"),
        _axes(span, most),
        _legend(faults),
    ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _fault(fault: Fault, at: float) -> str:
    dashes = "" if fault.kind == "kill" else ' stroke-dasharray="4 3"'
    took = f"{fault.recovery_s:.1f} s" if fault.recovery_s is not None else "not"
    hint = escape(f"{fault.kind} {fault.instance} ({fault.held}): back after {took}")
    place = f'x1="{at}" x2="{at}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"'
    return f'<line {place} stroke="{COLOURS.get(fault.service, "#000")}"{dashes}><title>{hint}</title></line>'


def _axes(span: float, most: int) -> str:
    floor, right = HEIGHT - BOTTOM, WIDTH - 20
    places = [(LEFT + share * (right - LEFT), share * span) for share in (0, 0.25, 0.5, 0.75, 1)]
    ticks = [f'<text x="{x:.0f}" y="{floor + 16}" text-anchor="middle">{at:.0f} s</text>' for x, at in places]
    frame = f'<path d="M{LEFT} {TOP}V{floor}H{right}" fill="none" stroke="#333"/>'
    return frame + "".join(ticks) + f'<text x="{LEFT - 6}" y="{TOP + 4}" text-anchor="end">{most}</text>'


def _legend(faults: Sequence[Fault]) -> str:
    said = ['<text x="60" y="40">grey: confirmed, black: ended</text>']
    for n, service in enumerate(sorted({fault.service for fault in faults})):
        said.append(f'<text x="{250 + n * 88}" y="40" fill="{COLOURS.get(service, "#000")}">{escape(service)}</text>')
    return "".join(said) + f'<text x="60" y="{HEIGHT - 10}">dashed: frozen (SIGSTOP) rather than killed</text>'
