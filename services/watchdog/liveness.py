"""Who is ready, who hangs, and when silence is not the child's fault. Pure; times are monotonic seconds.

Silence counts from the last beat, from the start of the process, or from the moment the watchdog itself was late:
a machine that was frozen and thawed has silent children that did nothing wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

OWN_LAG_S = 1.0


@dataclass(frozen=True)
class Beat:
    """A sign of life from the loop that runs the handlers. `ready`: connected to the broker."""

    at: float
    ready: bool
    reason: str = ""
    engine: str | None = None


@dataclass(frozen=True)
class Watched:
    """A child whose beat is expected. `since`: when its process was started or adopted."""

    id: str
    starting: bool
    since: float
    start_timeout_s: float


@dataclass(frozen=True)
class Hung:
    """To be killed: it does not live, or did not become ready in time."""

    id: str
    reason: str


@dataclass
class Liveness:
    """`silence_s`: how long a running child may be silent; `interval_s`: how often `judge` is called."""

    silence_s: float = 10.0
    interval_s: float = 0.5
    _judged_at: float | None = None
    _thawed_at: float = field(default=float("-inf"))

    def judge(self, watched: Sequence[Watched], beats: Mapping[str, Beat], now: float) -> tuple[list[str], list[Hung]]:
        """Those that have become ready, and those to kill. All silent at once is an outage: nobody is killed."""
        if self._judged_at is not None and now - self._judged_at > self.interval_s + OWN_LAG_S:
            self._thawed_at = now
        self._judged_at = now
        ready = [one.id for one in watched if one.starting and one.id in beats and beats[one.id].ready]
        running = [one for one in watched if not one.starting]
        silent = [Hung(one.id, f"hung: silent for {self._silence(one, beats, now):.1f} s")
                  for one in running if self._silence(one, beats, now) > self.silence_s]  # fmt: skip
        if len(running) > 1 and len(silent) == len(running):
            silent = []
        return ready, silent + self._late([one for one in watched if one.starting], beats, now)

    def _silence(self, one: Watched, beats: Mapping[str, Beat], now: float) -> float:
        last = beats[one.id].at if one.id in beats else one.since
        return now - max(last, one.since, self._thawed_at)

    def _late(self, starting: Sequence[Watched], beats: Mapping[str, Beat], now: float) -> list[Hung]:
        someone_is_connected = any(beat.ready for beat in beats.values())
        late = []
        for one in starting:
            if now - max(one.since, self._thawed_at) <= one.start_timeout_s:
                continue
            beat = beats.get(one.id)
            if beat is None or now - max(beat.at, self._thawed_at) > self.silence_s:
                late.append(Hung(one.id, f"no beat within {one.start_timeout_s:g} s of its start"))
            elif not beat.ready and someone_is_connected:
                late.append(Hung(one.id, f"not ready within {one.start_timeout_s:g} s: {beat.reason}"))
        return late
