"""Hosts that were there and are away: a call that names its engine waits for them, within limits. Times are monotonic.

It waits for a host that had the model when it was last seen, or whose engine the ledger knows; never for one that
nobody has ever seen, and no longer than `longest` since the host was missed first.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.inference.generation import SERVERS, Choice, Host
from services.inference.rows import Row

LONGEST = timedelta(minutes=5)


@dataclass(frozen=True)
class Hold:
    """Why a call is not begun: the host that is waited for, what was wrong with it, since when in seconds."""

    choice: Choice
    why: str
    since_s: float

    def says(self) -> str:
        return f"waiting for {self.choice.url} since {self.since_s:.0f} s: {self.why}"


@dataclass
class Away:
    """`known`: engines that have answered before this process began."""

    longest: timedelta = LONGEST
    clock: Callable[[], float] = time.monotonic
    known: frozenset[str] = frozenset()
    _last: dict[str, Host] = field(default_factory=dict)
    _since: dict[str, float] = field(default_factory=dict)

    def seen(self, hosts: Iterable[Host]) -> None:
        """A look at the hosts: who answers is back, who does not is missed from now on."""
        for host in hosts:
            if host.error is None:
                self._last[host.url] = host
                self._since.pop(host.url, None)
            else:
                self.missed(host.url)

    def missed(self, url: str) -> None:
        """It does not answer; counted from the first time."""
        self._since.setdefault(url, self.clock())

    def since_s(self, url: str) -> float:
        """Seconds for which a host has been missed, 0 for one that answers."""
        return self.clock() - self._since[url] if url in self._since else 0.0

    def in_time(self, url: str) -> bool:
        """May a host be waited for still?"""
        return self.since_s(url) < self.longest.total_seconds()

    def expected(self, hosts: Sequence[Host]) -> tuple[Host, ...]:
        """Those that are away, as they were when they were last seen; none that has been away for too long."""
        gone = [host for host in hosts if host.error and self.in_time(host.url)]
        return tuple(self._last[host.url] for host in gone if host.url in self._last)

    def was_known(self, engine: str, hosts: Sequence[Host]) -> Choice | None:
        """The host that an engine of the ledger is expected at: of its kind, and never seen in this process."""
        provider, _, model = engine.partition("/")
        if provider not in SERVERS or not {engine, f"{engine}:latest"} & self.known:
            return None
        gone = [host for host in hosts if host.error and self.in_time(host.url)]
        new = [host for host in gone if host.provider == provider and host.url not in self._last]
        return Choice(new[0].provider, engine, new[0].url, model) if new else None


def in_time(row: Row, now: datetime) -> bool:
    """May it still wait?"""
    return row.deadline_at is None or now < row.deadline_at
