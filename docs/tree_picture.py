"""The supervision tree as a picture: `infra/supervision.toml` -> SVG. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from services.watchdog.tree import Boot, Child, Group

LINE, INDENT, LEFT, TOP, WIDTH = 30, 34, 20, 46, 860
STYLE = (
    "text{font:13px ui-monospace,Menlo,Consolas,monospace;fill:#1f2328}.dim{fill:#59636e}.title{font-weight:bold}"
    "rect{fill:#eef4ff;stroke:#5b7fbf}.child{fill:#f2faf2;stroke:#5f9c62}path{fill:none;stroke:#9aa4ae}"
    "svg{background:#fff}"
)
Row = tuple[int, int, Group | Child]


def picture(root: Group) -> str:
    """Groups blue, children green, in start order from top to bottom; the text beside them says the rules."""
    rows = list(_rows(root, 0, -1))
    height = TOP + LINE * len(rows) + 10
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        "<title>The supervision tree of infra/supervision.toml</title>",
        f"<style>{STYLE}</style>",
        f'<text x="{LEFT}" y="26" class="title">infra/supervision.toml, in start order</text>',
    ]
    places: list[tuple[int, int]] = []
    for number, (depth, parent, node) in enumerate(rows):
        x, y = LEFT + depth * INDENT, TOP + number * LINE
        places.append((x, y))
        if parent >= 0:
            from_x, from_y = places[parent]
            lines.append(f'<path d="M{from_x + 12} {from_y + 22}V{y + 11}H{x}"/>')
        lines += _node(node, x, y)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _rows(node: Group, depth: int, parent: int, before: int = 0) -> Iterator[Row]:
    yield depth, parent, node
    number = before
    for child in node.children:
        if isinstance(child, Group):
            below = list(_rows(child, depth + 1, before, number + 1))
            yield from below
            number += len(below)
        else:
            yield depth + 1, before, child
            number += 1


def _node(node: Group | Child, x: int, y: int) -> list[str]:
    width = 16 + 8 * len(node.id)
    kind = "" if isinstance(node, Group) else ' class="child"'
    said = _group(node) if isinstance(node, Group) else _child(node)
    return [
        f'<rect x="{x}" y="{y}" width="{width}" height="22" rx="4"{kind}/>',
        f'<text x="{x + 8}" y="{y + 15}">{escape(node.id)}</text>',
        f'<text x="{x + width + 10}" y="{y + 15}" class="dim">{escape(said)}</text>',
    ]


def _group(group: Group) -> str:
    words = [str(group.strategy), f"{group.max_restarts} restarts in {group.period_s} s, then {group.on_exhausted}"]
    if group.boot is Boot.TOGETHER:
        words.append("children start together")
    return ", ".join(words)


def _child(child: Child) -> str:
    end = "for ever" if child.shutdown_s is None else f"{child.shutdown_s:g} s"
    words = [str(child.restart), f"stops within {end}"]
    if child.only:
        words.append(f"in {child.only} mode" if child.only == "process" else "in containers")
    if child.autoscale:
        words.append(f"{child.autoscale.least} to {child.autoscale.most} replicas")
    return ", ".join(words)
