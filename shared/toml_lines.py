"""Where a field of a TOML text stands: tomllib does not keep positions. Pure."""

from __future__ import annotations

import re

Path = tuple[str | int, ...]
Span = tuple[int, int]
_STRING_OR_COMMENT = re.compile(r""""(?:\\.|[^"\\\n])*"|'[^'\n]*'|#[^\n]*""")


def line_of(text: str, path: Path) -> int:
    """The line (from 1) of a field, found by walking the text along the path: keys, and numbers for items of a list.

    A field that is not there has the line of what should contain it.
    """
    bare = _STRING_OR_COMMENT.sub(lambda found: " " * len(found[0]), text)
    span, dotted, at = (0, len(bare)), "", 0
    for part, number in zip(path, (*path[1:], None), strict=True):
        if isinstance(part, int):
            continue
        dotted = f"{dotted}.{part}" if dotted else part
        found = re.compile(rf"(?<![\w.]){re.escape(part)}\s*=").search(bare, *span)
        if isinstance(number, int):
            items = _tables(bare, dotted, span) or (_inline(bare, found.end(), span[1]) if found else [])
            if number >= len(items):
                return bare.count("\n", 0, found.start() if found else at) + 1
            span = items[number]
            at = span[0]
        elif found:
            at = found.start()
    return bare.count("\n", 0, at) + 1


def _tables(bare: str, dotted: str, span: Span) -> list[Span]:
    """The items of a list written as `[[a.b]]`, each from its header to the next one that does not lie within it."""
    headers = re.compile(r"^[ \t]*\[\[?[ \t]*([\w.]+)[ \t]*\]\]?", re.MULTILINE)
    found = [(one.start() + len(one[0]) - len(one[0].lstrip()), one[1]) for one in headers.finditer(bare, *span)]
    items = []
    for number, (start, name) in enumerate(found):
        if name == dotted:
            after = (at for at, other in found[number + 1 :] if not other.startswith(f"{dotted}."))
            items.append((start, next(after, span[1])))
    return items


def _inline(bare: str, start: int, end: int) -> list[Span]:
    """The items of a list written as `[{ ... }, { ... }]`; `start`: just behind the `=`."""
    items, depth, begun = [], 0, 0
    for at in range(start, end):
        if bare[at] in "[{":
            depth += 1
            if depth == 2:
                begun = at
        elif bare[at] in "]}":
            depth -= 1
            if depth == 1:
                items.append((begun, at))
            if depth == 0:
                break
    return items
