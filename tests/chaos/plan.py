"""Which fault comes next: seeded, and within the restart budgets unless it is to be a storm. Pure."""

import random
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field

KILL, FREEZE, HANG, CUT = "kill", "freeze", "hang", "cut"
"""SIGKILL; SIGSTOP and SIGCONT after a moment; SIGSTOP until the watchdog kills what hangs; its TCP connections to the
broker are torn down (of the broker itself: everybody's)."""
BUDGET, PERIOD_S = 4, 62.0
"""The shipped tree allows 5 restarts in 60 s; one is left for a start that fails."""
FREEZE_S = (1.0, 4.0)
STORM_HITS = 6
"""In a storm, deaths of one service in a row: one more than its budget."""
NEVER_HANG = {"broker", "rabbitmq", "postgres", "watchdog"}
"""Nobody watches their heartbeat, so nobody would kill them: they are frozen for a moment instead."""


NEVER_CUT = {"postgres"}
"""Has no connection to the broker."""


@dataclass
class Fault:
    """One fault that landed. Times in seconds since the epoch; `recovered_at`: it handled its next message."""

    service: str
    instance: str
    kind: str
    at: float
    held: str
    recovered_at: float | None = None
    killed_by: str = "SIGKILL"

    @property
    def recovery_s(self) -> float | None:
        return None if self.recovered_at is None else self.recovered_at - self.at


@dataclass
class Plan:
    """`services`: those to hit. The same seed makes the same choices as long as the mesh gives the same chances."""

    seed: int
    services: tuple[str, ...]
    storm: bool = False
    cuts: bool = False
    _spent: dict[str, deque[float]] = field(default_factory=dict)
    _turns: list[str] = field(default_factory=list)
    _in_a_row: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    def service(self, now: float, *, recovering: Collection[str]) -> str | None:
        """The next victim, each service equally often; None when all have spent their budget. In a storm the same one
        again and again, as soon as it is back, until it should be in quarantine."""
        if self.storm:
            if not 0 < len(self._in_a_row) < STORM_HITS:
                self._in_a_row = [self._turn(self.services)]
            else:
                self._in_a_row.append(self._in_a_row[0])
            return self._in_a_row[0]
        able = [s for s in self.services if s not in recovering and self._left(s, now) > 0]
        return self._turn(able) if able else None

    def kind(self, service: str) -> str:
        """Two in three are killed outright; `cuts`: one in six loses its connections."""
        chance = self.chance.random()
        if self.storm or chance < 2 / 3:
            return KILL
        if self.cuts and chance < 5 / 6 and service not in NEVER_CUT:
            return CUT
        return FREEZE if service in NEVER_HANG or self.chance.random() < 0.5 else HANG

    def leave(self) -> None:
        """The last victim did not come back to work: the storm moves on."""
        self._in_a_row = []

    def spend(self, service: str, now: float) -> None:
        self._spent.setdefault(service, deque()).append(now)

    def pause_s(self, spacing_s: float) -> float:
        """Until the next kill: between half and one and a half times the mean."""
        return spacing_s * self.chance.uniform(0.5, 1.5)

    def freeze_s(self) -> float:
        return self.chance.uniform(*FREEZE_S)

    def _turn(self, able: Collection[str]) -> str:
        """Everybody once, in random order, then again: so all are hit even by a short run."""
        waiting = [s for s in self._turns if s in able]
        if not waiting:
            self._turns = sorted(self.services)
            self.chance.shuffle(self._turns)
            waiting = [s for s in self._turns if s in able]
        self._turns.remove(waiting[0])
        return waiting[0]

    def _left(self, service: str, now: float) -> int:
        spent = self._spent.setdefault(service, deque())
        while spent and now - spent[0] > PERIOD_S:
            spent.popleft()
        return BUDGET - len(spent)
