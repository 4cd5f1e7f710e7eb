"""Who is ready, who hangs, and when silence is not the child's fault. Pure; times are monotonic seconds.

    silent for 2 s of its own ── another look, 0.5 s later: silent still ── somebody else beats? ── yes ──> hung
                                                                            └─ no: an outage, not a hang

A child's own silence is the time since its last beat (or since its start), less what was not its doing: how long its
threads waited for a processor, and how late the watchdog itself was. A machine that was frozen and thawed has silent
children that did nothing wrong; they get THAW_S to come back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

OWN_LAG_S = 1.0
"""Later than this is no busy moment: the watchdog, and with it the machine, stood still."""
THAW_S = 3.0
"""What is thawed one after another is not back at once."""
PROBE_S = 0.5
"""Between the first suspicion and the second look: one more beat would have fitted in."""
WITNESS_S = 1.25
"""A beat younger than this says that the machine is well: two beats and a little."""
BUSY_S = 10.0
"""How long a child may be silent that is busy, or starved, where nobody can tell which (containers)."""
LOOK_S = 1.0
"""What a closer look takes is no lateness of the watchdog, up to this: it gives up then."""
ASKED_S = 10.0
"""How long a child may be silent that only answers when asked (a broker): an answer takes many threads."""
START_SILENCE_S = 10.0
"""Silence of a child that is late with its start anyway: imports and migrations do not beat."""


@dataclass(frozen=True)
class Beat:
    """A sign of life from the loop that runs the handlers. `ready`: connected to the broker. `stalled`: which handler
    is over its limit. `memory_mb`: the most it has used."""

    at: float
    ready: bool
    reason: str = ""
    engine: str | None = None
    stalled: str = ""
    memory_mb: int | None = None


@dataclass(frozen=True)
class Signs:
    """A closer look at a silent child. `starved_s`: how long it has waited for a processor since its last beat.
    `busy`: it runs or waits for a processor, and nobody can tell how long it waited."""

    starved_s: float = 0.0
    busy: bool = False
    what: str = ""


@dataclass(frozen=True)
class Watched:
    """A child whose beat is expected. `since`: when its process was started or adopted. `asked`: it does not beat by
    itself, its answers are its beats. It is given longer, and is no witness: that it
    answers says nothing of the loops of the others."""

    id: str
    starting: bool
    since: float
    start_timeout_s: float
    asked: bool = False


@dataclass(frozen=True)
class Hung:
    """To be killed: it does not live, or did not become ready in time."""

    id: str
    reason: str
    stalled: bool = False


@dataclass
class Liveness:
    """`silence_s`: how long a running child may be silent; `interval_s`: how often `judge` is called."""

    silence_s: float = 2.0
    interval_s: float = 0.25
    _judged_at: float | None = None
    _thawed_at: float = field(default=float("-inf"))
    _lags: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=200))
    _suspected: dict[str, tuple[float, float]] = field(default_factory=dict)  # child: (since when, its last beat then)

    def quiet(self, watched: Sequence[Watched], beats: Mapping[str, Beat], now: float) -> list[str]:
        """Those that are worth a closer look."""
        return [one.id for one in watched if not one.starting and now - _last(one, beats) > self._limit(one)]

    def judge(
        self,
        watched: Sequence[Watched],
        beats: Mapping[str, Beat],
        now: float,
        *,
        signs: Mapping[str, Signs] = MappingProxyType({}),
        looked_s: float = 0.0,
    ) -> tuple[list[str], list[Hung]]:
        """Those that have become ready, and those to kill. `looked_s`: how long the look at them has taken."""
        self._note_own_lag(now - min(looked_s, LOOK_S))
        self._judged_at = now
        ready = [one.id for one in watched if one.starting and (beat := _beat(one, beats)) and beat.ready]
        running = [one for one in watched if not one.starting]
        loops = [one for one in running if not one.asked]
        if len(loops) > 1 and all(now - _last(one, beats) > self.silence_s for one in loops):
            self._thawed_at = now + THAW_S  # an outage; who comes back first is no witness against the others
        beating = [one.id for one in loops if now - _last(one, beats) < WITNESS_S]
        hung = []
        for one in running:
            alone = not [other for other in loops if other is not one]
            witnessed = alone or bool(beating)  # a silent one is not among those that beat
            verdict = self._verdict(one, _beat(one, beats), now, signs.get(one.id, Signs()))
            if verdict and (witnessed or verdict.stalled):
                hung.append(verdict)
        return ready, hung + self._late([one for one in watched if one.starting], beats, now)

    def _limit(self, one: Watched) -> float:
        return max(self.silence_s, ASKED_S) if one.asked else self.silence_s

    def _note_own_lag(self, now: float) -> None:
        lag = 0.0 if self._judged_at is None else now - self._judged_at - self.interval_s
        if lag > OWN_LAG_S:
            self._thawed_at = now + THAW_S
        elif lag > 0:
            self._lags.append((now, lag))

    def _verdict(self, one: Watched, beat: Beat | None, now: float, sign: Signs) -> Hung | None:
        if beat and beat.stalled:
            return Hung(one.id, f"stalled: {beat.stalled}", stalled=True)
        last = beat.at if beat else one.since
        limit = max(self._limit(one), BUSY_S) if sign.busy else self._limit(one)
        if self._own_silence(last, now) - sign.starved_s <= limit:
            self._suspected.pop(one.id, None)
            return None
        since, then = self._suspected.setdefault(one.id, (now, last))
        if then != last:  # it has beaten in between
            self._suspected[one.id] = (now, last)
        elif now - since >= PROBE_S:
            return Hung(one.id, f"hung: silent for {now - last:.1f} s{sign.what and f', {sign.what}'}")
        return None

    def _own_silence(self, last: float, now: float) -> float:
        late = sum(lag for at, lag in self._lags if at > last)
        return now - max(last, self._thawed_at) - late

    def _late(self, starting: Sequence[Watched], beats: Mapping[str, Beat], now: float) -> list[Hung]:
        someone_is_connected = any(beat.ready for beat in beats.values())
        late = []
        for one in starting:
            if now - max(one.since, self._thawed_at) <= one.start_timeout_s:
                continue
            beat = _beat(one, beats)
            if beat is None or now - max(beat.at, self._thawed_at) > START_SILENCE_S:
                late.append(Hung(one.id, f"no beat within {one.start_timeout_s:g} s of its start"))
            elif not beat.ready and someone_is_connected:
                late.append(Hung(one.id, f"not ready within {one.start_timeout_s:g} s: {beat.reason}"))
        return late


def _beat(one: Watched, beats: Mapping[str, Beat]) -> Beat | None:
    """Its latest beat; what an earlier process of that name left is none."""
    beat = beats.get(one.id)
    return beat if beat and beat.at >= one.since else None


def _last(one: Watched, beats: Mapping[str, Beat]) -> float:
    beat = _beat(one, beats)
    return max(one.since, beat.at) if beat else one.since
