"""What a search looks for, and what may be recalled: pure."""

import re
from collections.abc import Iterable

from shared.contracts.words import STOP_WORDS

MAX_TERMS = 40
"""Terms of one query: a question of 4,000 characters says what it wants in its first forty words."""
COMPOUND = re.compile(r"\w+(?:[-_.'’/:@]\w+)*")
WORD = re.compile(r"[^\W_]+")


def terms(query: str) -> tuple[str, ...]:
    """What to look for, in order and once each: content words; a compound (`dead-letter`, `x-max-length`) beside its
    parts. A query of stop words alone is taken as it is."""
    found: dict[str, None] = {}
    for compound in COMPOUND.findall(query.casefold()):
        parts = WORD.findall(compound)
        if len(parts) > 1:
            found[" ".join(parts)] = None
        found.update((part, None) for part in parts if part not in STOP_WORDS and (len(part) > 1 or part.isdigit()))
    kept = list(found) or WORD.findall(query.casefold())
    return tuple(kept[:MAX_TERMS])


def quoted_terms(query: str) -> list[str]:
    """What to look for, each in FTS5's language."""
    return [f'"{term}"' for term in terms(query)]


def match_expression(query: str) -> str:
    """The query in FTS5's language, any of its terms enough; empty when there is nothing to look for."""
    return " OR ".join(quoted_terms(query))


def related(query: str, text: str) -> bool:
    """Do they share enough to be about one subject: two content words (or all, when there are fewer)? Words count as
    the same when their first five characters are."""
    wanted = {term[:5] for term in terms(query) if " " not in term}
    held = {term[:5] for term in terms(text) if " " not in term}
    return bool(wanted) and len(wanted & held) >= min(2, len(wanted))


def same_text(text: str) -> str:
    """What two findings of one sentence have in common, however it was set."""
    return " ".join(text.casefold().split())


def within(finding_corpora: Iterable[str], corpora: Iterable[str]) -> bool:
    """May a goal over `corpora` recall what was found over `finding_corpora`? Only if it could have read all of it."""
    return set(finding_corpora) <= set(corpora)
