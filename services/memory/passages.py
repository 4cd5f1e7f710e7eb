"""A stored text -> passages: stretches of about 900 characters that a search finds and a quote is taken from. Pure.

Every passage is exactly `text[start:end]`. It lies within one section (headings themselves belong to none, unless a
value is stated of them), ends at the end of a paragraph or sentence where there is one in reach, and never in the
middle of a word. The sentence that runs over a page break belongs to the page on which it begins, and a passage does
not go on past it.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from services.memory.blocks import Document, HeadingMark
from shared.contracts.items import REACH, has_value

TARGET = 900
"""Characters: about two paragraphs; measured in `facts.md` as good for bm25."""
ENOUGH = 450
"""A passage this long may end early, at the end of a paragraph."""
TINY = 160
"""A rest this short goes to the passage before it."""
BLANK = re.compile(r"\n[ \t]*\n\s*")
SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]{0,2}\s+(?=[\"'“‘(\[]{0,2}[A-Z0-9À-ÞА-Я])|(?<=[。！？])\s*")
ABBREVIATION = re.compile(
    r"(?:\b(?:al|approx|cf|ca|dr|ed|eds|eq|eqs|etc|e\.g|fig|figs|i\.e|inc|jr|ltd|mr|mrs|ms|no|nos|prof|pp|ref|refs|sec|"
    r"sect|st|tab|vol|vs|z\.b|d\.h|bzw|nr|p|[a-z])|\b[A-Z])\.$",
    re.IGNORECASE,
)
WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class Cut:
    """One passage: `text[start:end]`, the nearest heading above it, and the page on which it begins."""

    start: int
    end: int
    page: int | None = None
    heading: str | None = None


def cut(document: Document) -> tuple[Cut, ...]:
    """The passages of a document, in order, without overlap. A text of headings alone is cut as if it had none."""
    found = tuple(_cuts(document, document.headings))
    return found or tuple(_cuts(document, ()))


def sentences(text: str, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
    """Spans of the sentences in `text[start:end]`, white space around them left out. "et al." ends none."""
    stop = len(text) if end is None else end
    begin = start
    for found in SENTENCE_END.finditer(text, start, stop):
        if ABBREVIATION.search(text, max(begin, found.start() - 12), found.start()):
            continue
        ends = found.start() + len(found.group().rstrip())
        if ends > begin:
            yield begin, ends
        begin = found.end()
    while stop > begin and text[stop - 1].isspace():
        stop -= 1
    if stop > begin:
        yield begin, stop


def _cuts(document: Document, headings: tuple[HeadingMark, ...]) -> Iterator[Cut]:
    starts = [mark.start for mark in document.pages]
    for start, end, heading in _sections(document.text, headings):
        for first, last in _passages(document.text, starts, start=start, end=end):
            at = bisect_right(starts, first) - 1
            yield Cut(first, last, document.pages[at].number if at >= 0 else None, heading)


def _sections(text: str, headings: tuple[HeadingMark, ...]) -> Iterator[tuple[int, int, str | None]]:
    """(start, end, heading) of the stretches between headings. "Default: 20" needs what it is said of."""
    above: HeadingMark | None = None
    for mark in (*headings, None):
        begin, end = (above.end if above else 0), (mark.start if mark else len(text))
        if end > begin:
            named = above is not None and has_value(text[begin : min(end, begin + REACH)])
            yield above.start if above and named else begin, end, above.title if above else None
        above = mark


def _passages(text: str, pages: list[int], *, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Spans of passages within one section: pieces gathered until the next would be too much."""
    held: tuple[int, int] | None = None
    for first, last, opens in _pieces(text, start, end):
        if held is None:
            held = first, last
        elif _closes(held, (first, last), opens=opens, pages=pages):
            yield held
            held = first, last
        else:
            held = held[0], last
    if held is not None:
        yield held


def _closes(held: tuple[int, int], piece: tuple[int, int], *, opens: int, pages: list[int]) -> bool:
    """Does the passage end before this piece? `opens`: characters of the paragraph that begins here, else 0."""
    if bisect_right(pages, held[0]) != bisect_right(pages, piece[0]):
        return True
    size = held[1] - held[0]
    if piece[1] - held[0] > TARGET:
        return not (piece[1] - piece[0] < TINY and opens and piece[1] - held[0] <= TARGET + TINY)
    return bool(opens) and size >= ENOUGH and piece[0] + opens - held[0] > TARGET


def _pieces(text: str, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Sentences, or lines of rows and code: (start, end, length of the paragraph if it begins one, else 0)."""
    for first, last in _paragraphs(text, start, end):
        opens = last - first
        spans = _lines(text, first, last) if "\n" in text[first:last] else sentences(text, first, last)
        for begin, stop in spans:
            for piece in _short(text, begin, stop):
                yield *piece, opens
                opens = 0


def _paragraphs(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    begin = start
    for gap in BLANK.finditer(text, start, end):
        yield from _trimmed(text, begin, gap.start())
        begin = gap.end() - _indent(text, gap.end(), gap.start())
    yield from _trimmed(text, begin, end)


def _indent(text: str, at: int, floor: int) -> int:
    """Spaces right before `at`: the indent of code belongs to the paragraph, not to the gap."""
    begin = at
    while begin > floor and text[begin - 1] == " ":
        begin -= 1
    return at - begin


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end and text[start] == "\n":
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if end > start:
        yield start, end


def _lines(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    begin = start
    while begin < end:
        stop = text.find("\n", begin, end)
        stop = end if stop < 0 else stop
        if text[begin:stop].strip():
            yield begin, stop
        begin = stop + 1


def _short(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A piece longer than a passage, cut between words; a single "word" that long is cut where it must be."""
    if end - start <= TARGET:
        yield start, end
        return
    begin = last = start
    for word in WORD.finditer(text, start, end):
        if word.end() - begin > TARGET and last > begin:
            yield begin, last
            begin = word.start()
        while word.end() - begin > TARGET:
            yield begin, begin + TARGET
            begin += TARGET
        last = word.end()
    if last > begin:
        yield begin, last
