"""Rows of tables as statements: `Replay - RabbitMQ: no; Kafka: yes` says what the header and one row say. Pure."""

import re
from collections.abc import Iterator, Sequence

from shared.contracts.sentences import Sentence, sentences

Span = tuple[int, int]
_BAR = re.compile(r"\s*\|\s*|\t+")


def cells(row: str) -> tuple[str, ...]:
    """The cells of a row as stored texts write it, `| a | b |`; empty ones stay, so that columns do not shift."""
    return tuple(" ".join(cell.split()) for cell in _BAR.split(row.strip().strip("|").strip()))


def stated(header: str, row: str, *, columns: Sequence[int] | None = None) -> str | None:
    """The row as a statement, or some of its columns (1 is the first after the row's own name). None when the two do
    not fit together or nothing is left to say."""
    names, values = cells(header), cells(row)
    if len(names) != len(values) or len(values) < 2 or not values[0]:
        return None
    wanted = range(1, len(values)) if columns is None else columns
    said = [f"{names[n]}: {values[n]}" for n in wanted if values[n] and names[n]]
    return f"{values[0]} - {'; '.join(said)}" if said else None


def says_row(claim: str, quotes: Sequence[str]) -> bool:
    """Is the claim, word for word, a row of these quotes under another one as header; the whole row or one column?"""
    wanted = " ".join(claim.split())
    if " - " not in wanted:
        return False
    rows = [unit.text for quote in quotes for unit in sentences(quote) if unit.kind == "row"]
    return any(wanted in _statements(header, row) for header in rows for row in rows if header is not row)


def row_spans(claim: str, text: str) -> tuple[Span, Span] | None:
    """Where the header and the row stand in the text that the claim states word for word."""
    wanted = " ".join(claim.split())
    if " - " not in wanted:
        return None
    for header, row in tabled(sentences(text)):
        if wanted in _statements(header.text, row.text):
            return (header.start, header.end), (row.start, row.end)
    return None


def tabled(units: Sequence[Sentence]) -> Iterator[tuple[Sentence, Sentence]]:
    """(header, row) for every row of every table: the first row of a table is its header."""
    header: Sentence | None = None
    for unit in units:
        if unit.kind != "row":
            header = None
        elif header is None:
            header = unit
        else:
            yield header, unit


def _statements(header: str, row: str) -> set[str]:
    whole = stated(header, row)
    single = (stated(header, row, columns=[n]) for n in range(1, len(cells(row)))) if whole else ()
    return {text for text in (whole, *single) if text}
