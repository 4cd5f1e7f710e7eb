"""The restart budget of a group: OTP's intensity with OTP's clock arithmetic, and the waits of a quarantine."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

FIRST_WAIT_S = 60.0
LONGEST_WAIT_S = 600.0


@dataclass
class Intensity:
    """At most `max_restarts` restarts in `period_s` seconds; one more trips.

    OTP floors the clock to whole seconds and keeps stamps `>= now - period`, so the window is really just under
    `period_s + 1`: with 3 in 5, restarts at 0, 2, 4 and 5.99 s trip, at 0, 2, 4 and 6.0 s they do not.
    """

    max_restarts: int
    period_s: int
    stamps: list[int] = field(default_factory=list)

    def spend(self, now: float) -> bool:
        """Counts one restart at `now` (monotonic seconds). False: the budget is exceeded."""
        second = math.floor(now)
        self.stamps = [second, *self._kept(second)]
        return len(self.stamps) <= self.max_restarts

    def left(self, now: float) -> int:
        """How many restarts may still happen at `now` before the next one trips."""
        return max(0, self.max_restarts - len(self._kept(math.floor(now))))

    def clear(self) -> None:
        """A supervisor that starts afresh has spent nothing."""
        self.stamps = []

    def _kept(self, second: int) -> list[int]:
        return [stamp for stamp in self.stamps if stamp >= second - self.period_s]


@dataclass
class Quarantine:
    """When an exhausted group is tried again: after 60 s, then twice as long each time, at most 10 minutes.

    The wait begins anew at 60 s once a try has lasted longer than the wait before it.
    """

    wait_s: float = FIRST_WAIT_S
    retry_at: float | None = None
    tried_at: float | None = None

    def enter(self, now: float) -> float:
        """The group is down from `now` on; returns the wait in seconds until the next try."""
        if self.tried_at is None or now - self.tried_at > self.wait_s:
            self.wait_s = FIRST_WAIT_S
        else:
            self.wait_s = min(self.wait_s * 2, LONGEST_WAIT_S)
        self.retry_at = now + self.wait_s
        return self.wait_s

    def leave(self, now: float, *, by_person: bool) -> None:
        """The group is tried again, by itself or because somebody released it (which forgives the past)."""
        self.retry_at = None
        self.tried_at = None if by_person else now
