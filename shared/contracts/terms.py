"""Definition lists: `port (integer)` on a line of its own, what it means below; `- REAL. The value is ...`. A sentence
there says what it says of the term only together with it: `port (integer): The default is 5432.` Pure."""

import re
from collections.abc import Iterator, Sequence

from shared.contracts.sentences import Sentence, sentences

Span = tuple[int, int]
REACH = 600
"""Characters from the term to the end of the sentence: one quote holds both."""
TERM_WORDS, ITEM_WORDS = 6, 3
_TERM = re.compile(r"(?:-{1,2}[\w?]|[a-z][\w]*[._\-/]|[a-z]\w*(?:\s*[(<=\[]|\s*$)|[A-Z]+[a-z]*_)")
_ENDED = re.compile(r"[.!?…:;,。]\W*$")
_BULLET = re.compile(r"(?:^|\n)\s*(?:[-*+•–▪◦]|\(?\d{1,3}[.)])\s+$")


def label(term: str) -> str:
    """The term as it stands before a colon."""
    return " ".join(term.split()).rstrip(".: ")


def defined(text: str) -> Iterator[tuple[Sentence, Sentence]]:
    """(term, sentence) for each sentence of the first paragraph under a term, and of an item that opens with one."""
    term: Sentence | None = None
    for unit in sentences(text):
        if _is_term(unit, text) or _opens_item(unit, text):
            term = unit
        elif term is None or unit.kind not in ("sentence", "item") or not _near(term, unit, text):
            term = None
        elif unit.end - term.start <= REACH:
            yield term, unit


def term_span(claim: str, text: str) -> Span | None:
    """Where term and sentence stand in the text, from the one to the other, which the claim states word for word."""
    wanted = " ".join(claim.split())
    for term, unit in defined(text):
        if wanted == f"{label(term.text)}: {' '.join(unit.text.split())}":
            return term.start, unit.end
    return None


def says_term(claim: str, quotes: Sequence[str]) -> bool:
    """Is the claim, word for word, the sentence at the end of a quote under the term at its beginning?"""
    if ": " not in claim:
        return False
    as_item = (("", quote) for quote in quotes), (("- ", quote) for quote in quotes)
    return any(
        term_span(claim, mark + quote) == (len(mark), len(mark + quote)) for group in as_item for mark, quote in group
    )


def _is_term(unit: Sentence, text: str) -> bool:
    """A short line of its own, written like a name in code, with something below it."""
    if unit.kind != "sentence" or len(unit.text.split()) > TERM_WORDS or _ENDED.search(unit.text):
        return False
    before, after = text[: unit.start], text[unit.end :]
    alone = (not before or before.endswith("\n")) and re.match(r"[ \t]*\n\s*\S", after) is not None
    return alone and _TERM.match(unit.text) is not None


def _opens_item(unit: Sentence, text: str) -> bool:
    """`REAL.` at the head of an item that goes on."""
    if unit.kind != "sentence" or not unit.text.endswith(".") or len(unit.text.split()) > ITEM_WORDS:
        return False
    goes_on = re.match(r"[ \t]+\S", text[unit.end :]) is not None
    return goes_on and _BULLET.search(text[: unit.start]) is not None


def _near(term: Sentence, unit: Sentence, text: str) -> bool:
    """In the paragraph right below the term, or in the same line of a list."""
    between = text[term.end : unit.start]
    if term.text.endswith("."):
        return "\n" not in between
    return len(re.findall(r"\n[ \t]*\n", between.lstrip())) == 0
