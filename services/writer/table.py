"""The table that opens a comparison: subjects as columns, aspects as rows, every cell a claim or nothing. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.writer.gate import Archive, Claim
from services.writer.section import Section
from shared.contracts.comparison import Comparison, comparison
from shared.contracts.labels import labels_for
from shared.contracts.reading import same_word
from shared.contracts.rows import cells, stated
from shared.contracts.sentences import sentences
from shared.contracts.words import content_words

CELL_CHARACTERS = 240
"""A longer sentence is for its section, not for a cell."""


@dataclass(frozen=True)
class Row:
    """One respect in which the subjects are compared; `cells` in their order, None where nothing tells it."""

    aspect: str
    cells: tuple[Claim | None, ...]


@dataclass(frozen=True)
class Table:
    subjects: tuple[str, ...]
    rows: tuple[Row, ...]


def table(goal: str, sections: Sequence[Section], archive: Archive) -> Table | None:
    """The table of what the goal compares; None when it compares nothing or no cell can be filled."""
    compared = [(section, found) for section in sections if (found := comparison(section.question))]
    whole = comparison(goal) or (compared[0][1] if compared else None)
    if whole is None:
        return None
    labels = labels_for(goal)
    rows = [
        Row(", ".join(found.aspects) or labels.difference, _cells(section.claims, whole, archive))
        for section, found in compared
        if _same(found, whole)
    ]
    rows += [Row(labels.what_it_is, each) for each in _what_each_is(sections, whole, archive)]
    filled = tuple(row for row in rows if any(row.cells))
    return Table(whole.subjects, filled) if filled else None


def _same(one: Comparison, other: Comparison) -> bool:
    return [s.casefold() for s in one.subjects] == [s.casefold() for s in other.subjects]


def _cells(claims: Sequence[Claim], whole: Comparison, archive: Archive) -> tuple[Claim | None, ...]:
    return tuple(_cell(claims, subject, whole, archive) for subject in whole.subjects)


def _what_each_is(sections: Sequence[Section], whole: Comparison, archive: Archive) -> list[tuple[Claim | None, ...]]:
    """Sections about one subject each, `What is X?`, make one row together."""
    found: list[Claim | None] = []
    for subject in whole.subjects:
        about = [s for s in sections if comparison(s.question) is None and _only(s.question, subject, whole)]
        found.append(_cell(about[0].claims, subject, whole, archive) if about else None)
    return [tuple(found)] if any(found) else []


def _cell(claims: Sequence[Claim], subject: str, whole: Comparison, archive: Archive) -> Claim | None:
    """A row of a source's own table; else the first claim about this subject alone; else the first that names all."""
    tabled = (cell for claim in claims if (cell := _column(claim, subject, archive)))
    short = [claim for claim in claims if len(claim.text) <= CELL_CHARACTERS and not _is_row(claim, archive)]
    alone = (claim for claim in short if _only(claim.text, subject, whole))
    together = (claim for claim in short if all(_names(claim.text, other) for other in whole.subjects))
    return next(tabled, None) or next(alone, None) or next(together, None)


def _column(claim: Claim, subject: str, archive: Archive) -> Claim | None:
    """Of a claim that states a row: the column of this subject, if the table has one."""
    quotes = [archive.standing[name].quote for name in claim.ids if name in archive.standing]
    for header, row in [(h, r) for h in quotes for r in quotes if h is not r]:
        if stated(header, row) != claim.text:
            continue
        for n, name in enumerate(cells(header)[1:], start=1):
            if _names(name, subject) and (text := stated(header, row, columns=[n])):
                return Claim(text, claim.ids)
    return None


def _is_row(claim: Claim, archive: Archive) -> bool:
    quotes = [archive.standing[name].quote for name in claim.ids if name in archive.standing]
    return any(unit.kind == "row" for quote in quotes for unit in sentences(quote))


def _only(text: str, subject: str, whole: Comparison) -> bool:
    return _names(text, subject) and not any(_names(text, other) for other in whole.subjects if other != subject)


def _names(text: str, subject: str) -> bool:
    words = content_words(text)
    return all(any(same_word(word, other) for other in words) for word in content_words(subject))
