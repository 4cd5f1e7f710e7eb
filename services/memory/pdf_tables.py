"""Tables of a PDF page, found by where its pieces of text stand: rows whose cells begin in the same columns. Pure.

Only what is drawn row by row is taken for a table, cell after cell: the columns of a two-column page are drawn one
after the other. A cell may have several lines; it belongs to the row whose first or last line it shares.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from services.memory.blocks import one_line, row

NEAR = 2.0
"""Points by which lines of one row may differ in height."""
LETTER = 0.5
"""The usual width of a letter, of its height."""
GAP = 1.0
"""Of the letters' height: what stands apart by less is the same cell, in other letters."""
LEADING = 1.8
"""Of the letters' height: the next line of a cell is no further down."""
CELLS = 6
"""Fewer and it is chance."""
APART = re.compile(r"(?:\. ?){4}|^[•▪◦‣]")
"""Lists of contents, and lists, are none, although they have columns."""
NUMERIC = re.compile(r"^\W*\d.{0,15}$")
"""What may stand at the right of its column, or in its middle."""
PROSE = 40
"""Characters: where the cells of each column are longer, it is a page in columns that was drawn line by line."""
MAX_PIECES = 20_000
"""A page of more is read without tables."""


@dataclass(frozen=True)
class Piece:
    """Text as it was drawn: where it begins (points, y upwards), how high its letters are."""

    x: float
    y: float
    height: float
    text: str


@dataclass
class _Cell:
    x: float
    height: float
    lines: list[tuple[float, str]]

    @property
    def text(self) -> str:
        return one_line(" ".join(text for _, text in self.lines))

    def takes(self, piece: Piece) -> bool:
        """Does the piece go on with this cell: on its last line, or on the next one?"""
        y, text = self.lines[-1]
        if abs(piece.y - y) <= NEAR:  # a line end there is pypdf's: it was drawn apart
            end = self.x + LETTER * self.height * len(text.strip())
            return not text.endswith("\n") and self.x <= piece.x <= end + GAP * self.height
        same = abs(piece.height - self.height) <= 0.1 * self.height
        return same and abs(piece.x - self.x) <= NEAR and 0 < y - piece.y <= LEADING * self.height

    def add(self, piece: Piece) -> None:
        y, text = self.lines[-1]
        if abs(piece.y - y) <= NEAR:
            self.lines[-1] = (y, text + piece.text)
        else:
            self.lines.append((piece.y, piece.text))

    def beside(self, other: "_Cell") -> bool:
        tops, ends = self.lines[0][0] - other.lines[0][0], self.lines[-1][0] - other.lines[-1][0]
        return other.x > self.x + self.height and min(abs(tops), abs(ends)) <= NEAR


def page_text(pieces: Sequence[Piece]) -> str:
    """The page's text in the order in which it was drawn, rows of tables as `| a | b |`, each on a line."""
    if len(pieces) > MAX_PIECES:
        return "".join(piece.text for piece in pieces)
    lines: list[str] = []
    for group in _groups(_rows(pieces)):
        if _is_table(group):
            lines.append("\n" + "\n".join(row(cell.text for cell, _ in cells) for cells in group) + "\n")
        else:
            lines += ["".join(piece.text for piece in drawn) for cells in group for _, drawn in cells]
    return "".join(lines)


_Row = list[tuple[_Cell, list[Piece]]]


def _rows(pieces: Sequence[Piece]) -> Iterator[_Row]:
    """Cells that were drawn one after the other, beside each other. What stands right above the first cell of a row, in
    the same column, is no part of it."""
    current: _Row = []
    for cell, drawn in _cells(pieces):
        if current and not current[-1][0].beside(cell):
            yield from _without_lines_above(current)
            current = []
        current.append((cell, drawn))
    if current:
        yield from _without_lines_above(current)


def _without_lines_above(cells: _Row) -> Iterator[_Row]:
    (first, drawn), others = cells[0], cells[1:]
    top = max((cell.lines[0][0] for cell, _ in others), default=first.lines[0][0])
    within = [line for line in first.lines if line[0] <= top + NEAR]
    if not others or len(within) == len(first.lines) or not within:
        yield cells
        return
    at = next(n for n, piece in enumerate(drawn) if piece.text.strip() and piece.y <= top + NEAR)
    yield [(_Cell(first.x, first.height, [line for line in first.lines if line[0] > top + NEAR]), drawn[:at])]
    yield [(_Cell(first.x, first.height, within), drawn[at:]), *others]


def _cells(pieces: Sequence[Piece]) -> Iterator[tuple[_Cell, list[Piece]]]:
    """With the pieces that each was drawn from; what is blank goes along with what stands before it."""
    cell: _Cell | None = None
    drawn: list[Piece] = []
    for piece in pieces:
        blank = not piece.text.strip()
        if cell is not None and not blank and not cell.takes(piece):
            yield cell, drawn
            cell, drawn = None, []
        drawn.append(piece)
        if blank:
            continue
        if cell is None:
            cell = _Cell(piece.x, piece.height, [(piece.y, piece.text)])
        else:
            cell.add(piece)
    if drawn:
        yield cell or _Cell(0.0, 0.0, [(0.0, "")]), drawn


def _groups(rows: Iterator[_Row]) -> Iterator[list[_Row]]:
    """Rows that follow each other down the page in the same columns."""
    group: list[_Row] = []
    for cells in rows:
        if group and not _goes_on(group[0], group[-1], cells):
            yield group
            group = []
        group.append(cells)
    if group:
        yield group


def _goes_on(head: _Row, before: _Row, cells: _Row) -> bool:
    if len(cells) != len(head) or len(head) < 2 or cells[0][0].lines[0][0] >= before[0][0].lines[-1][0]:
        return False
    gap = min(right.x - left.x for (left, _), (right, _) in pairwise(head))
    pairs = [(one, other) for (one, _), (other, _) in zip(head, cells, strict=True)]
    return all(
        abs(one.x - other.x) <= NEAR or (abs(one.x - other.x) < gap / 2 and NUMERIC.match(other.text))
        for one, other in pairs
    )


def _is_table(group: list[_Row]) -> bool:
    """Rows with a head above them; or what only looks like that: lists of contents, pages in columns."""
    if len(group) < 2 or len(group) * len(group[0]) < CELLS:
        return False
    columns = [[cells[n][0].text for cells in group] for n in range(len(group[0]))]
    texts = [text for column in columns for text in column]
    short = any(median(map(len, column)) < PROSE for column in columns)
    return short and all(text and not APART.search(text) for text in texts)
