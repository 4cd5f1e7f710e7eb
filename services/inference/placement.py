"""Which host makes a call: the one that is done first, waiting, loading and its speed counted. Pure.

Calls are taken in their order; each gets the slot at which it would be done first, which may be one that is not free
yet: then it waits, and that slot is not another's who comes after it. So a slow host is used when it wins and left
alone when waiting for a faster one is better, and a model is loaded anew only where that pays. Where a host's speed is
not known, the least busy one that is free takes the call, one that has the model loaded first.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.inference.rates import Speed

UNKNOWN_S = 5.0
"""How long a call is taken to last at a host of unknown speed."""
ROUNDING_S = 1e-3


@dataclass(frozen=True)
class Option:
    """A host that has the model. `cold`: it would have to load it."""

    url: str
    speed: Speed | None = None
    cold: bool = False


@dataclass(frozen=True)
class Job:
    """A call that waits. `most`: tokens of its answer at most. `model`: what is loaded for it."""

    id: str
    model: str
    most: int
    options: Sequence[Option]


def place(jobs: Iterable[Job], slots: Mapping[str, Sequence[float]]) -> dict[str, str]:
    """Call -> host, for those that begin now. `slots`: for each slot of a host, seconds until it is free; 0: it is."""
    free = {url: sorted(seconds) for url, seconds in slots.items()}
    warm: set[tuple[str, str]] = set()
    begin = {}
    for job in jobs:
        options = [_as_planned(option, job, warm) for option in job.options if free.get(option.url)]
        option = _best(options, job, free)
        if option is None:
            continue
        at = free[option.url].pop(0)
        lasts = option.speed.seconds(job.most, cold=option.cold) if option.speed else UNKNOWN_S
        free[option.url] = sorted([*free[option.url], at + lasts])
        warm.add((option.url, job.model))
        if at <= 0:
            begin[job.id] = option.url
    return begin


def _as_planned(option: Option, job: Job, warm: set[tuple[str, str]]) -> Option:
    """Who comes second finds the model loaded."""
    return Option(option.url, option.speed) if (option.url, job.model) in warm else option


def _best(options: Sequence[Option], job: Job, free: Mapping[str, Sequence[float]]) -> Option | None:
    if all(option.speed for option in options) or len(options) == 1:
        return min(options, key=lambda option: _done_s(option, job, free), default=None)
    now = [option for option in options if free[option.url][0] <= 0]
    return min(now, key=lambda option: (_busy(free[option.url]), option.cold), default=None)


def _done_s(option: Option, job: Job, free: Mapping[str, Sequence[float]]) -> tuple[float, int, bool]:
    lasts = option.speed.seconds(job.most, cold=option.cold) if option.speed else UNKNOWN_S
    # Equally fast hosts measure as nearly so: among those the least busy one.
    done = round((free[option.url][0] + lasts) / ROUNDING_S) * ROUNDING_S
    return done, _busy(free[option.url]), option.cold


def _busy(free: Sequence[float]) -> int:
    return sum(seconds > 0 for seconds in free)


def left_s(speed: Speed | None, most: int, *, elapsed_s: float, written: int) -> float:
    """Until a running call is done, about. One that takes longer than it should is taken to need as long again as it
    is over its time, so that nobody waits long for a host that stands still."""
    if speed is None:
        return UNKNOWN_S
    by_time = speed.seconds(most) - elapsed_s
    by_tokens = speed.seconds(most, written=written) if written else by_time
    return max(by_tokens, ROUNDING_S) if by_time >= 0 else max(by_tokens, -by_time, ROUNDING_S)
