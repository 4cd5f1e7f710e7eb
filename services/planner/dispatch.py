"""Which ready steps go on the wire next. Pure: the same on every broker version.

Priority first, raised by one for every `AGEING_S` seconds of waiting (so nothing starves); then the namespace with the
fewest steps running (fair share); then age.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

AGEING_S = 60.0
"""Seconds of waiting that count as one level of priority: after two minutes a batch goal (3) equals an `ask` (5)."""


@dataclass(frozen=True)
class Ready:
    """A step (or goal) that may start. `since`: when it became ready."""

    key: tuple[str, ...]
    namespace: str
    priority: int
    since: datetime


def choose(ready: Iterable[Ready], *, running: Sequence[str], free: int, now: datetime) -> list[Ready]:
    """At most `free` of the ready ones, in the order in which they start. `running`: a namespace per running one."""
    waiting, share = list(ready), Counter(running)
    chosen: list[Ready] = []
    while waiting and len(chosen) < free:
        best = min(waiting, key=lambda r: (-_urgency(r, now), share[r.namespace], r.since, r.key))
        waiting.remove(best)
        share[best.namespace] += 1
        chosen.append(best)
    return chosen


def _urgency(ready: Ready, now: datetime) -> int:
    waited_s = (now - ready.since).total_seconds()
    return ready.priority + int(max(0.0, waited_s) // AGEING_S)
