"""Evidence: a verbatim quote at known offsets of a stored text; and the findings that cite it.

Offsets count characters of the stored UTF-8 text (Python's `text[start:end]`), not bytes.
"""

import hashlib
from itertools import pairwise

from pydantic import Field

from shared.contracts.doubt import is_doubted, says_so, taken_back
from shared.contracts.message import Value
from shared.contracts.sentences import Sentence, sentences
from shared.contracts.support import MIN_COVERAGE, Verdict, best_units, supports

__all__ = ["MAX_QUOTE", "Evidence", "Finding", "Verdict", "best_quote", "evidence_id", "quote_holds", "supports"]

MAX_QUOTE = 600
"""Characters. Longer quotes are cut at a sentence end: a citation is to be read, and 12 steps must fit 1 MiB."""


class Evidence(Value):
    """One quote. `sha256` is of the stored text's UTF-8 bytes, so anyone can check `text[start:end] == quote`."""

    evidence_id: str
    source: str
    title: str = ""
    page: int | None = None
    heading: str | None = None
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    start: int = Field(ge=0)
    end: int = Field(gt=0)
    quote: str = Field(max_length=MAX_QUOTE)
    score: float = 0.0


class Finding(Value):
    """One sentence that a step found, with the evidence that supports it."""

    text: str
    evidence_ids: tuple[str, ...]


def evidence_id(sha256: str, start: int, end: int) -> str:
    """The same span of the same text has the same id, whoever found it and however often."""
    return "e" + hashlib.sha256(f"{sha256}:{start}:{end}".encode()).hexdigest()[:12]


def quote_holds(text: str, start: int, end: int, quote: str) -> bool:
    """Does the quote stand in the stored text at its offsets, character for character?"""
    return 0 <= start < end <= len(text) and text[start:end] == quote


def meant(passage: str, heading: str | None = None) -> list[Sentence]:
    """The units of a passage but for headings, and for what these announce as untrue (unless the unit says so)."""
    units, doubted = [], is_doubted(heading)
    for unit in sentences(passage):
        if unit.kind == "heading":
            doubted = is_doubted(unit.text)
        elif not doubted or says_so(unit.text):
            units.append(unit)
    return units


def best_quote(claim: str, passage: str, *, heading: str | None = None) -> tuple[int, int] | None:
    """The span of the sentence, or of two adjacent ones, that best supports the claim; None if nothing does.

    The one that covers most of the claim wins, then the shorter. Never longer than `MAX_QUOTE` characters. What the
    next sentence takes back supports nothing, nor does what stands under a heading that announces untrue things.
    """
    units = meant(passage, heading)
    gone = taken_back([unit.text for unit in units])
    spans = [(one.start, one.end) for one, wrong in zip(units, gone, strict=True) if not wrong]
    spans += [(one.start, other.end) for one, other in pairwise(units)]
    spans = [span for span in spans if span[1] - span[0] <= MAX_QUOTE]
    shares = best_units(claim, [passage[start:end] for start, end in spans])
    for share, span in sorted(zip(shares, spans, strict=True), key=lambda each: (-each[0], each[1][1] - each[1][0])):
        if share < MIN_COVERAGE:
            break
        if supports(claim, [passage[slice(*span)]]).holds:
            return span
    return None
