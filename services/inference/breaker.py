"""Circuit breakers: a host that failed is left alone for a while, then tried with one call. Times are monotonic."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

FIRST_S = 5.0
LONGEST_S = 60.0


@dataclass(frozen=True)
class Breaker:
    """Of a host that failed. `until`: left alone. `wait_s`: how long that was. `answers`: a probe after it was good, so
    that one call may try it. `since`: when it failed first."""

    until: float
    wait_s: float
    answers: bool = False
    since: float = 0.0


def after_failure(before: Breaker | None, *, now: float) -> Breaker:
    """Five seconds, doubled each time up to a minute. Calls that fail together are one failure."""
    if before and now < before.until:
        return before
    wait_s = min(before.wait_s * 2, LONGEST_S) if before else FIRST_S
    return Breaker(now + wait_s, wait_s, since=before.since if before else now)


def after_probe(before: Breaker, *, now: float) -> Breaker:
    """A host was seen and answered."""
    return replace(before, answers=before.answers or now >= before.until)


def shuts(breaker: Breaker, *, busy: int) -> bool:
    """Is the host left alone now? Half-open it takes one call."""
    return not breaker.answers or busy > 0


@dataclass
class Breakers:
    """By host; only those that failed and have not answered a call since."""

    clock: Callable[[], float] = time.monotonic
    _of: dict[str, Breaker] = field(default_factory=dict)

    def good(self, url: str) -> None:
        """A call came to its end there."""
        self._of.pop(url, None)

    def bad(self, url: str) -> None:
        """A call failed there for the host's sake."""
        self._of[url] = after_failure(self._of.get(url), now=self.clock())

    def seen(self, answering: Collection[str]) -> None:
        """These hosts answered a probe just now."""
        self._of = {u: after_probe(b, now=self.clock()) if u in answering else b for u, b in self._of.items()}

    def tries(self, url: str) -> bool:
        """Is this host half-open?"""
        return url in self._of and self._of[url].answers

    def shut(self, url: str) -> bool:
        """Has this host failed, and not answered since its time was over?"""
        return url in self._of and not self._of[url].answers

    def since_s(self, url: str) -> float:
        """Seconds since this host failed first; 0 for one that has not."""
        return self.clock() - self._of[url].since if url in self._of else 0.0

    def shunned(self, *, busy: Mapping[str, int]) -> set[str]:
        """Hosts that are left alone now."""
        return {url for url, breaker in self._of.items() if shuts(breaker, busy=busy.get(url, 0))}
