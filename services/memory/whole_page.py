"""A whole HTML page -> blocks, as its own tags say: headings, paragraphs, rows, items, code. By lxml, no recursion
(pages nested ten thousand deep exist). For pages in which trafilatura finds too little. In the parsing child only."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from services.memory.blocks import Block, Kind, clean, one_line, row

FURNITURE = "script style noscript template nav header footer aside form button select iframe svg dialog".split()
HEADINGS = frozenset("h1 h2 h3 h4 h5 h6".split())
BLOCKS = frozenset("p div section article main ul ol dl dt dd table blockquote hr figure figcaption address".split())
LAYOUT = 400
"""Characters: a table cell longer than this is there for the layout, and is text."""


def read_whole_page(text: str) -> tuple[str, list[Block]]:
    """(title, blocks): every text but scripts and what its tags call navigation. Nothing when lxml gives up."""
    from lxml import etree, html  # type: ignore[import-untyped]  # lxml has no types

    try:
        root = html.document_fromstring(text.encode(), parser=html.HTMLParser(encoding="utf-8", huge_tree=False))
    except (etree.LxmlError, ValueError):
        return "", []
    title = one_line(clean(root.findtext(".//title") or ""))
    for tag in FURNITURE:
        for element in list(root.iter(tag)):
            element.drop_tree()
    body = root.find("body")
    walk = _Walk()
    for event, element in etree.iterwalk(root if body is None else body, events=("start", "end")):
        if isinstance(element.tag, str):
            walk.step(event, element)
    return title, list(_gathered(walk.end()))


@dataclass
class _Walk:
    """Text gathers in `held` until something ends it. `cells`: of the open row; `items`, `inside`: how deep in lists
    and cells, where paragraphs do not stand alone."""

    blocks: list[Block] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    cells: list[str] | None = None
    items: int = 0
    inside: int = 0

    def step(self, event: str, element: Any) -> None:
        if event == "start":
            self._open(element.tag)
            self.held.append(element.text or "")
        else:
            self._close(element.tag)
            self.held.append(element.tail or "")

    def end(self) -> list[Block]:
        self._flush()
        return self.blocks

    def _open(self, tag: str) -> None:
        if tag in HEADINGS or tag in ("pre", "li", "tr", "td", "th"):
            self._flush()
        elif tag in BLOCKS:
            self._break()
        elif tag == "br":
            self.held.append("\n")
        self.items += tag == "li"
        self.inside += tag in ("td", "th")
        if tag == "tr":
            self.cells = []

    def _close(self, tag: str) -> None:
        if tag in HEADINGS:
            self._flush("heading")
        elif tag == "pre":
            self._flush("code")
        elif tag == "li":
            self._flush()
            self.items -= 1
        elif tag in ("td", "th"):
            self.inside -= 1
            self._close_cell()
        elif tag == "tr":
            self._close_row()
        elif tag in BLOCKS:
            self._break()

    def _break(self) -> None:
        if self.inside or self.items:
            self.held.append(" ")
        else:
            self._flush()

    def _close_cell(self) -> None:
        text = one_line(clean("".join(self.held)))
        if self.cells is None or len(text) > LAYOUT:
            self._flush()
        else:
            self.cells.append(text)
            self.held = []

    def _close_row(self) -> None:
        cells, self.cells = self.cells or [], None
        if len(cells) > 1 and any(cells):
            self.blocks.append(Block(row(cells), "lines"))
        elif any(cells):
            self.blocks.append(Block(cells[0]))

    def _flush(self, kind: Kind = "text") -> None:
        text, self.held = clean("".join(self.held)), []
        if not text.strip():
            return
        if kind == "code":
            self.blocks.append(Block(text.strip("\n"), "code"))
        elif kind == "text" and self.items:
            self.blocks.append(Block("- " + one_line(text), "lines"))
        else:
            self.blocks.append(Block(one_line(text), kind))


def _gathered(blocks: list[Block]) -> Iterator[Block]:
    """Rows that follow each other are one block, and so are items."""
    for (kind, _), group in groupby(blocks, key=lambda block: (block.kind, block.text[:1] * (block.kind == "lines"))):
        if kind == "lines":
            yield Block("\n".join(block.text for block in group), "lines")
        else:
            yield from group
