"""One ranking out of two: what the words say (bm25), and what the vectors say (cosine). Pure.

A passage's words count by the share of the query they explain: its bm25 over the most that any passage could have for
this query. Words of the query that stand nowhere count in that, so whoever asks in words the library does not have gets
a low share for every passage, and vectors decide; whoever asks in its own words gets what bm25 alone would give. A
passage's vector counts by its place between the nearest one and the last of the nearest, which makes models alike.

Reciprocal ranks, the usual way, know only places: a best passage that has every word of the query weighs as much as one
that shares a single word. Measured beside this in `benchmarks/search`; decided in docs/decisions/0011.
"""

from collections.abc import Hashable, Sequence
from typing import TypeVar

MEANING = 0.2
"""What the nearest vector weighs, in shares of the query: a passage with a fifth more of the query's words stands above
it. Fitted on three corpora of `benchmarks/search` (field, python, made-1), confirmed on three others."""
T = TypeVar("T", bound=Hashable)
Ranking = Sequence[tuple[T, float]]


def fused(words: Ranking[T], near: Ranking[T], *, most: float) -> list[tuple[T, float]]:
    """(key, score) best first, of equal ones the one met first, words before vectors. `words`: (key, bm25); `near`:
    (key, cosine); both best first. `most`: what bm25 could be at most for this query."""
    scores = {key: score / most if most > 0 else 0.0 for key, score in words}
    for key, gain in _gains(near):
        scores[key] = scores.get(key, 0.0) + MEANING * gain
    return sorted(((key, round(score, 6)) for key, score in scores.items()), key=lambda pair: -pair[1])


def _gains(near: Ranking[T]) -> list[tuple[T, float]]:
    """1 for the nearest, 0 for the last."""
    if not near:
        return []
    top, last = near[0][1], near[-1][1]
    return [(key, (cosine - last) / (top - last) if top > last else 1.0) for key, cosine in near]
