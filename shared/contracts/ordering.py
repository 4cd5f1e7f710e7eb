"""Order: has a sentence exchanged what its source compares? `A is faster than B` is not `B is faster than A`."""

import re
from collections import Counter
from functools import lru_cache
from itertools import combinations

from shared.contracts.meaning import REVERSIBLE
from shared.contracts.words import STOP_WORDS, words

_PASSIVE = re.compile(
    r"\b(?:is|are|was|were|be|been|being|gets?|got)\s+(?:\w+\s+){0,2}?\w+(?:ed|en|wn|nt|lt|pt|ut|ld|de|ne|un|ead)\s+"
    r"(?:[\w-]+\s+){0,6}?(?:by|in|through|with)\b",
    re.IGNORECASE,
)
PREPOSITIONS = frozenset(
    """in on at by for with of from to into where when if under over during within through via as per about between
    bei mit von für auf aus nach zu dans sur avec pour de par en con por para""".split()
)
_JOINERS = frozenset("and or und oder et ou y o e as well the a an der die das le la les el los las both".split())
_PIVOTS = frozenset(
    """than before after over instead rather unlike whereas while versus vs from to into until not but as für als nach
    vor que de à""".split()
)
_LONGEST = 24
_Place = tuple[int, int]


def swapped(claim: str, source: str, *, copy: bool = True) -> tuple[str, str] | None:
    """The two (groups of) words that have changed places between source and claim; None when none have.

    Only a change that undoing one exchange repairs counts: moving a whole clause to the front is not a swap, nor is
    `A and B` for `B and A`, nor the passive of an active sentence. What is no near `copy` of its source may order its
    words freely, except around a comparison and among names and numbers.
    """
    mine, theirs = _places(claim), _places(source)
    shared = sorted((mine[token], token) for token in mine if token in theirs and token not in REVERSIBLE)[:_LONGEST]
    order = [theirs[token][0] for _, token in shared]
    if order == sorted(order) or bool(_PASSIVE.search(claim)) != bool(_PASSIVE.search(source)):
        return None
    for first, second in _exchanges(order):
        left, right = [shared[i] for i in range(*first)], [shared[i] for i in range(*second)]
        spans = (_span(left, mine), _span(right, mine)), (_span(left, theirs), _span(right, theirs))
        if _listed(claim, spans[0]) and _listed(source, spans[1]):
            continue
        if all(_led_by(claim, spans[0][n]) == _led_by(source, spans[1][n]) != "" for n in (0, 1)):
            continue
        compared = _pivot(claim, spans[0]) and _pivot(source, spans[1])
        if not compared and (first[1] == second[0] or not (copy or _named(claim, spans[0]))):
            continue
        return " ".join(token for _, token in left), " ".join(token for _, token in right)
    return None


@lru_cache(maxsize=4096)
def _places(text: str) -> dict[str, _Place]:
    """Content words that occur once: (offset, end)."""
    found = [(token, at, at + len(word)) for token, word, at in words(text)]
    times = Counter(token for token, _, _ in found)
    return {token: (at, end) for token, at, end in found if times[token] == 1 and token not in STOP_WORDS}


def _exchanges(order: list[int]) -> list[tuple[_Place, _Place]]:
    """Pairs of index ranges (up to three words each) whose exchange sorts the order; single words first."""
    found: list[tuple[_Place, _Place]] = []
    wanted = sorted(order)
    blocks = [(i, i + size) for size in (1, 2, 3) for i in range(len(order) - size + 1)]
    for first, second in combinations(sorted(blocks), 2):
        if first[1] > second[0]:
            continue
        undone = [
            *order[: first[0]],
            *order[slice(*second)],
            *order[first[1] : second[0]],
            *order[slice(*first)],
            *order[second[1] :],
        ]
        if undone == wanted:
            found.append((first, second))
    return sorted(found, key=lambda pair: (pair[0][1] - pair[0][0]) + (pair[1][1] - pair[1][0])) or _nearly(order)


def _nearly(order: list[int]) -> list[tuple[_Place, _Place]]:
    """In a longer sentence: an exchange of two words that repairs most of the disorder, though not all of it."""
    before = _inversions(order)
    if before < 5:
        return []
    for i, j in combinations(range(len(order)), 2):
        undone = order.copy()
        undone[i], undone[j] = undone[j], undone[i]
        if j > i + 1 and _inversions(undone) * 5 <= before:
            return [((i, i + 1), (j, j + 1))]
    return []


def _inversions(order: list[int]) -> int:
    return sum(one > other for one, other in combinations(order, 2))


def _span(block: list[tuple[_Place, str]], places: dict[str, _Place]) -> _Place:
    spans = [places[token] for _, token in block]
    return min(start for start, _ in spans), max(end for _, end in spans)


def _between(text: str, spans: tuple[_Place, _Place]) -> str:
    first, second = sorted(spans)
    return text[first[1] : second[0]]


def _listed(text: str, spans: tuple[_Place, _Place]) -> bool:
    """Are they members of one list, whose order says nothing? Not before `respectively` or among numbers."""
    members = text[slice(*spans[0])] + text[slice(*spans[1])]
    if re.search(r"\brespectively\b|\bbzw\b", text) or re.search(r"\d", members):
        return False
    between = _between(text, spans)
    if not re.search(r",|/|\b(?:and|or|und|oder|et|ou|y|o)\b", between):
        return False
    parts = re.split(r",|/|\b(?:and|or|und|oder|et|ou|y|o)\b", between)
    return all(len([w for w in part.split() if w.lower() not in _JOINERS]) <= 2 for part in parts) and not re.search(
        r"\b(?:is|are|was|were|not|than|has|have|but|while|to|from|by)\b", between
    )


def _led_by(text: str, span: _Place) -> str:
    """The preposition in front: a phrase that takes its own along only stands elsewhere, `on Linux, where possible`."""
    before = [word for word in re.findall(r"\w+", text[: span[0]].lower())[-2:] if word not in _JOINERS]
    return before[-1] if before and before[-1] in PREPOSITIONS else ""


def _pivot(text: str, spans: tuple[_Place, _Place]) -> bool:
    return any(word in _PIVOTS for word in re.findall(r"\w+", _between(text, spans).lower()))


def _named(text: str, spans: tuple[_Place, _Place]) -> bool:
    """Are both names or numbers?"""
    parts = [text[slice(*span)] for span in spans]
    return all(re.search(r"\d", part) for part in parts) or all(re.search(r"[A-Z]", part[1:]) for part in parts)
