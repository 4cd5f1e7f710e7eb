"""Clauses: what was added to a true statement with an "and". A part of `support.py`'s judgement. Pure."""

import re
from collections.abc import Sequence

from shared.contracts.reading import coverage, plain, read
from shared.contracts.words import content_words

UNSAID = 0.34
"""A clause of which the quotes have a smaller share of content words than this is not in them."""
WORTH_CHECKING = 3
"""Content words: a shorter clause may well be said in other words."""
_JOINING = "and|but|or|while|whereas|because|since|so|which|und|aber|oder|et|mais|ou|y|pero"
_CLAUSE = re.compile(rf"[,;:]\s+|\s+(?:{_JOINING})\s+", re.I)


def unsaid(sentence: str, quotes: Sequence[str]) -> str | None:
    """Why not: the clause of the sentence that the quotes, taken together, say nothing of; None when there is none."""
    everything = frozenset(content_words(" ".join(quotes)))
    for clause in _CLAUSE.split(sentence):
        reading = read(plain(clause))
        if len(reading.pool) >= WORTH_CHECKING and coverage(reading, everything) < UNSAID:
            return f'the quotes say nothing of "{clause.strip()[:100]}"'
    return None
