"""What of a passage may be quoted: sentences, rows, values and definitions, each with what stands around it. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from services.inference.quotable import (
    MAX_CHARACTERS,
    is_apparatus,
    is_header,
    leans,
    leans_on_term,
    quotable,
    quotable_row,
)
from shared.contracts.doubt import is_doubted, says_so, taken_back
from shared.contracts.generation import InputPassage
from shared.contracts.items import Item, items
from shared.contracts.sentences import Sentence, content_words, sentences
from shared.contracts.terms import defined

_IN_LIST = re.compile(r"^\s*(?:[-*+•–▪◦]|\(?\d{1,3}[.)])\s")


@dataclass(frozen=True)
class Candidate:
    """A statement that may be quoted: a sentence, with the one before it where it leans on it."""

    passage: InputPassage
    parts: tuple[Sentence, ...]
    words: tuple[str, ...]
    around: tuple[str, ...]
    rank: int
    place: int
    header: Sentence | None = None
    term: Sentence | None = None
    lead: tuple[str, ...] = ()
    """What announces the list that an item stands in: `Disadvantages include:`."""

    @property
    def text(self) -> str:
        return " ".join(part.text for part in self.parts)

    @property
    def is_row(self) -> bool:
        return self.parts[-1].kind == "row"


def candidates_of(passage: InputPassage, rank: int) -> list[Candidate]:
    around = content_words(f"{passage.title} {passage.heading or ''}")
    found: list[Candidate] = []
    before: Sentence | None = None
    header: Sentence | None = None
    cut = _cut(passage.text)
    stated_of = items(passage.text)
    wrong = taken_back([unit.text for unit in cut])
    doubted, apparatus = is_doubted(passage.heading), is_apparatus(passage.heading)
    terms = {unit.start: term for term, unit in defined(passage.text)}
    lead: tuple[str, ...] = ()
    for place, unit in enumerate(cut):
        if unit.kind == "heading":
            around = (*content_words(passage.title), *content_words(unit.text))
            doubted, apparatus = is_doubted(unit.text), is_apparatus(unit.text)
        parts: tuple[Sentence, ...] = ()
        term = terms.get(unit.start)
        lead = _lead(unit, passage.text, lead)
        if apparatus or wrong[place] or doubted and not says_so(unit.text):
            before = None
            continue
        if of := _items_in(unit, stated_of):
            found += [_item_candidate(passage, item, around, (rank, place)) for item in of]
            if all(word in " ".join(item.text for item in of) for word in unit.text.split()):
                before = None
                continue
        if unit.kind == "row":
            parts = (unit,) if header is not None and quotable_row(unit) else ()
            header = header or (unit if place or is_header(unit) else None)
            term = None
        elif quotable(unit, named=term is not None):
            header = None
            term = term if term and not (leans(unit) and not leans_on_term(unit)) else None
            if not leans(unit) or term:
                parts = (unit,)
            elif before is not None and quotable(before) and not leans(before):
                parts = (before, unit) if len(before.text) + len(unit.text) < MAX_CHARACTERS else ()
        if parts:
            words = content_words(" ".join(part.text for part in (*((term,) if term else ()), *parts)))
            context = (*around, *content_words(header.text)) if header is not None else around
            context = (*context, *content_words(re.sub(r"[\W_]+", " ", term.text))) if term else context
            header_of = header if unit.kind == "row" else None
            found.append(Candidate(passage, parts, words, context, rank, place, header_of, term, lead))
        before = unit if unit.kind in ("sentence", "item") else None
    return found


def _lead(unit: Sentence, text: str, before: tuple[str, ...]) -> tuple[str, ...]:
    """The words that announce the list in which this unit stands; none outside of lists."""
    if unit.text.endswith(":"):
        return content_words(unit.text)
    in_list = _IN_LIST.search(text[text.rfind("\n", 0, unit.start) + 1 : unit.start + 1]) is not None
    return before if in_list else ()


def _items_in(unit: Sentence, found: Sequence[Item]) -> list[Item]:
    """Values of terms that end in this unit."""
    return [item for item in found if unit.start < item.span[1] <= unit.end and unit.kind not in ("row", "code")]


def _item_candidate(passage: InputPassage, item: Item, around: tuple[str, ...], where: tuple[int, int]) -> Candidate:
    """What stands between the term and its value is what the value is about."""
    said = Sentence(item.span[1] - 1, item.span[1], item.text, "item")  # beside what begins with the same term
    between = content_words(passage.text[slice(*item.span)])
    return Candidate(passage, (said,), content_words(item.text), (*around, *between), *where)


def _cut(text: str) -> list[Sentence]:
    """Units of a passage without a first one that was cut off in its middle."""
    units = sentences(text)
    if units and units[0].kind == "sentence" and units[0].text[:1].islower() and " " in units[0].text:
        return units[1:]
    return units
