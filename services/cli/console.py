"""What goes to the terminal: data to stdout, everything else to stderr. Colour only on a terminal."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console


def say(text: str) -> None:
    """For people, on stderr: progress, hints, errors."""
    print(text, file=sys.stderr, flush=True)


def print_json(data: BaseModel | Iterable[BaseModel] | Any) -> None:
    """Data on stdout, and nothing else there. Models or lists of them, or what `json` can write."""
    print(json.dumps(plain(data), ensure_ascii=False, indent=2), flush=True)


def plain(data: Any) -> Any:
    """Models as dictionaries, also inside lists."""
    if hasattr(data, "model_dump"):
        return data.model_dump(mode="json")
    if isinstance(data, list | tuple):
        return [plain(item) for item in data]
    return data


def lively(stream: TextIO) -> bool:
    """May this stream be drawn on?"""
    return stream.isatty() and os.environ.get("TERM", "") != "dumb"


def rich_console(stream: TextIO | None = None) -> Console:
    """A rich console on this stream (default stderr); it respects NO_COLOR and knows terminals."""
    from rich.console import Console

    return Console(file=stream or sys.stderr, highlight=False, emoji=False)


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, width: int | None = None) -> str:
    """Aligned columns. The last one is cut to `width` characters where that is given; nothing else ever is."""
    cells = [[_cell(value) for value in row] for row in rows]
    if not cells:
        return ""
    columns = [max(len(line[i]) for line in [list(headings), *cells]) for i in range(len(headings))]
    lines = []
    for line in [[h.upper() for h in headings], *cells]:
        text = "  ".join(cell.ljust(size) for cell, size in zip(line, columns, strict=True)).rstrip()
        lines.append(text if width is None or len(text) <= width else text[: max(1, width - 1)] + "…")
    return "\n".join(lines)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """The table on stdout, cut to the terminal where there is one; or, on stderr, what its absence means."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    text = table(headings, rows, width=width)
    print(text) if text else say(empty)


def ago(when: datetime, now: datetime) -> str:
    return f"{duration((now - when).total_seconds())} ago"


def duration(seconds: float) -> str:
    """`41 ms`, `1.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    seconds = max(0.0, seconds)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, below, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def one_line(text: str, limit: int = 120) -> str:
    """White space as single blanks, cut with an ellipsis."""
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _cell(value: object) -> str:
    return "" if value is None else one_line(str(value), 400)
