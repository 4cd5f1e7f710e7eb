"""A sentence read once: its words, names and negations, ready to be compared with another one's."""

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from typing import NamedTuple

from shared.contracts.meaning import ALIKE, INTO_PHRASE, LACKING, NEGATIONS, OPPOSITES, SUFFIXES
from shared.contracts.words import STOP_WORDS, words


class Negation(NamedTuple):
    """One negation of a sentence. `after`: what follows it (3 content words); `around`: these and the 3 before it;
    `scope`: what it may turn into its opposite, which of `without` is its own noun phrase only."""

    after: frozenset[str]
    around: frozenset[str]
    scope: frozenset[str]


@dataclass(frozen=True)
class Reading:
    """A sentence taken apart once. `tokens`: stemmed, stop words included; `written`: the same words in lower case."""

    text: str
    tokens: tuple[str, ...]
    written: tuple[str, ...]
    cased: tuple[str, ...]
    pool: frozenset[str]
    negated: tuple[Negation, ...]


@lru_cache(maxsize=4096)
def read(text: str) -> Reading:
    """Take a sentence apart."""
    found = words(text)
    tokens = tuple(token for token, _, _ in found)
    written = tuple(word.lower() for _, word, _ in found)
    return Reading(
        text=text,
        tokens=tokens,
        written=written,
        cased=tuple(word for _, word, _ in found),
        pool=frozenset(token for token in tokens if token not in STOP_WORDS),
        negated=_negated(tokens, written),
    )


def _negated(tokens: tuple[str, ...], written: tuple[str, ...]) -> tuple[Negation, ...]:
    found = []
    for at, word in enumerate(written):
        if word not in NEGATIONS and not word.endswith("n't"):
            continue
        if written[at + 1 : at + 2] in (("only",), ("more",), ("less",), ("fewer",)):
            continue
        after = [t for t in tokens[at + 1 :] if t not in STOP_WORDS and t not in NEGATIONS][:3]
        before = [t for t in tokens[:at] if t not in STOP_WORDS and t not in NEGATIONS][-3:]
        around = frozenset(after + before)
        scope = _phrase(tokens[at + 1 :], written[at + 1 :]) if word in LACKING else around
        found.append(Negation(frozenset(after or before[-2:]), around, scope))
    return tuple(found)


def _phrase(tokens: tuple[str, ...], written: tuple[str, ...]) -> frozenset[str]:
    """The content words up to the first stop word, articles and the like before them left out (at most three)."""
    opening = len(list(takewhile(lambda word: word in INTO_PHRASE, written)))
    return frozenset(list(takewhile(lambda token: token not in STOP_WORDS, tokens[opening:]))[:3])


@lru_cache(maxsize=50_000)
def same_word(one: str, other: str) -> bool:
    """Two stems of one word, or two words for one thing: `durabl` and `durability`, `begin` and `start`."""
    if one == other or other in ALIKE.get(one, ()):
        return True
    if not (one.isalpha() and other.isalpha()):
        return False
    shared = 0
    while shared < min(len(one), len(other)) and one[shared] == other[shared]:
        shared += 1
    return shared >= 4 and one[shared:] in SUFFIXES and other[shared:] in SUFFIXES


def has(word: str, pool: frozenset[str]) -> bool:
    """Is the word, in any of its forms, among these?"""
    return word in pool or any(same_word(word, other) for other in pool)


def coverage(claim: Reading, pool: frozenset[str]) -> float:
    """Share (0 to 1) of the claim's content words that the pool has. An opposite counts: `support.py` judges it."""
    if not claim.pool:
        return 0.0
    covered = sum(has(word, pool) or bool(OPPOSITES.get(word, frozenset()) & pool) for word in claim.pool)
    return covered / len(claim.pool)


def plain(text: str) -> str:
    """Without emphasis, citation marks and the difference between kinds of quotation marks and white space."""
    text = re.sub(r"\[\d+(?:[,–-]\s*\d+)*\]|[*`]+|(?<!\w)_+|_+(?!\w)", "", text)
    text = text.translate(str.maketrans("“”„«»’‘–—", '"""""\'\'--'))
    return re.sub(r"\s+", " ", text).strip()
