"""Blocks of a document (paragraphs, headings, rows, code) and how they become the stored text. Pure.

The stored text is what is quoted, so it is made once, here: blocks stand apart by an empty line, code is indented by
four spaces, and where headings and pages begin is kept beside the text as marks (character offsets).
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "heading", "lines", "code"]
LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"})
INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufff9-\ufffc]")
SURROGATE = re.compile("[\ud800-\udfff]")
UNEVEN = re.compile(r"\s{2,}|[^\S ]")
"""White space that is not one plain space. (Splitting fifty megabytes into words would take a gigabyte.)"""
MAX_HEADING = 200
"""Characters kept of a heading or a title."""


@dataclass(frozen=True)
class Block:
    """`lines`: rows or list items, one a line. `page`: from 1, where the format has pages. `joins`: goes on in the
    middle of the sentence that ended the block before (a page break)."""

    text: str
    kind: Kind = "text"
    page: int | None = None
    joins: bool = False


@dataclass(frozen=True)
class HeadingMark:
    """A heading stands at `text[start:end]`."""

    start: int
    end: int
    title: str


@dataclass(frozen=True)
class PageMark:
    """From this offset on the text is of this page."""

    start: int
    number: int


@dataclass(frozen=True)
class Document:
    """A text as it is stored, and where its headings and pages begin."""

    title: str
    text: str
    headings: tuple[HeadingMark, ...] = ()
    pages: tuple[PageMark, ...] = ()

    @property
    def sha256(self) -> str:
        """Of the text's UTF-8 bytes: the document's name in the library."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def clean(text: str) -> str:
    """One form for what looks the same: NFC, `\\n` line ends, plain spaces, no control or invisible characters."""
    if SURROGATE.search(text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n\n").replace("\u2028", "\n")
    text = text.replace("\u00a0", " ").replace("\u202f", " ").translate(LIGATURES)
    return unicodedata.normalize("NFC", INVISIBLE.sub("", text))


def one_line(text: str) -> str:
    """All white space runs become one space."""
    return UNEVEN.sub(" ", text).strip()


def assemble(title: str, blocks: Iterable[Block]) -> Document:
    """The stored text of these blocks, whose texts are `clean` already, with its marks."""
    pieces: list[str] = []
    headings: list[HeadingMark] = []
    pages: list[PageMark] = []
    offset = 0
    for block in blocks:
        shown = _shown(block)
        if not shown.strip():
            continue
        if pieces:
            gap = " " if block.joins else "\n\n"
            pieces.append(gap)
            offset += len(gap)
        if block.page is not None and (not pages or pages[-1].number != block.page):
            pages.append(PageMark(offset, block.page))
        if block.kind == "heading":
            headings.append(HeadingMark(offset, offset + len(shown), shown[:MAX_HEADING]))
        pieces.append(shown)
        offset += len(shown)
    return Document(one_line(clean(title))[:MAX_HEADING], "".join(pieces), tuple(headings), tuple(pages))


def row(cells: Iterable[str]) -> str:
    """One row of a table, as the stored text shows it: `| a | b |`."""
    return "| " + " | ".join(one_line(cell) for cell in cells) + " |"


def _shown(block: Block) -> str:
    if block.kind in ("text", "heading"):
        return one_line(block.text)
    lines = [line.rstrip() for line in block.text.expandtabs(4).split("\n")]
    if block.kind == "code":
        return "\n".join("    " + line if line else "" for line in lines).strip("\n")
    return "\n".join(one_line(line) for line in lines if line.strip())
