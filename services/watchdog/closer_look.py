"""A closer look at children that are silent: stopped, starved, or blocked?

The kernel says of each thread how long it was ready to run and had no processor (`/proc/PID/task/TID/schedstat`): that
time is not the child's. In containers there is only `ps`, by way of Docker: it tells stopped from busy.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from services.watchdog.engine import Engine
from services.watchdog.liveness import LOOK_S, Beat, Signs

MISSED_S = 0.75
"""A beat older than this is late: from now on the waits of all its threads are noted, not those of the loop alone."""


class Look(Protocol):
    """`sample` is called before every judgement, `at` for those that have been silent for too long."""

    def sample(self, ids: Sequence[str], beats: Mapping[str, Beat], now: float) -> None: ...

    async def at(self, ids: Sequence[str]) -> Mapping[str, Signs]: ...


class NoLook:
    """Nothing more can be seen than the beats."""

    def sample(self, ids: Sequence[str], beats: Mapping[str, Beat], now: float) -> None: ...

    async def at(self, ids: Sequence[str]) -> Mapping[str, Signs]:
        return {}


@dataclass
class _Waits:
    """Seconds that each thread had waited at the first look after the last beat, by thread id."""

    beat_at: float
    at_beat: dict[int, float]
    late: bool = False


@dataclass
class ProcessLook:
    """Processes of this machine. `pid_of` a child, None when it does not run."""

    pid_of: Callable[[str], int | None]
    proc: Path = Path("/proc")
    _waits: dict[str, _Waits] = field(default_factory=dict)

    def sample(self, ids: Sequence[str], beats: Mapping[str, Beat], now: float) -> None:
        """Notes how long the loop's thread has waited so far, at each new beat; a file a child."""
        for gone in set(self._waits) - set(ids):
            del self._waits[gone]
        for one in ids:
            pid, at = self.pid_of(one), beats[one].at if one in beats else 0.0
            if pid is None:
                continue
            noted = self._waits.get(one)
            if noted is None or noted.beat_at != at or pid not in noted.at_beat:
                self._waits[one] = _Waits(at, {pid: self._waited(pid, pid)})
            elif not noted.late and now - at > MISSED_S:
                noted.late = True
                noted.at_beat = {**self._all_waited(pid), **noted.at_beat}

    async def at(self, ids: Sequence[str]) -> Mapping[str, Signs]:
        return {one: self._signs(one, pid) for one in ids if (pid := self.pid_of(one)) is not None}

    def _signs(self, one: str, pid: int) -> Signs:
        noted = self._waits.get(one)
        state = _state(self.proc / str(pid) / "stat")
        if noted is None or state in ("T", "t"):
            return Signs(what="stopped" if state in ("T", "t") else "")
        threads = self._all_waited(pid) if noted.late else {pid: self._waited(pid, pid)}  # those with an account
        waits = [waited - noted.at_beat.get(thread, 0.0) for thread, waited in threads.items()]
        starved = max(waits, default=0.0)
        what = {"R": "computing", "D": "waiting for a disk", "S": "its loop is blocked"}.get(state, "")
        return Signs(starved, busy=state == "D", what=f"{what}, {starved:.1f} s without a processor")

    def _all_waited(self, pid: int) -> dict[int, float]:
        try:
            threads = [int(entry.name) for entry in (self.proc / str(pid) / "task").iterdir()]
        except OSError:
            return {}
        return {thread: self._waited(pid, thread) for thread in threads}

    def _waited(self, pid: int, thread: int) -> float:
        """Seconds in the run queue, ever; 0 where the kernel does not count them."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            return int((self.proc / str(pid) / "task" / str(thread) / "schedstat").read_text().split()[1]) / 1e9
        return 0.0


@dataclass
class ContainerLook:
    """Containers. `states_of` a child: the letters of `ps` for each of its processes; raises OSError."""

    states_of: Callable[[str], Awaitable[Sequence[str]]]

    def sample(self, ids: Sequence[str], beats: Mapping[str, Beat], now: float) -> None: ...

    async def at(self, ids: Sequence[str]) -> Mapping[str, Signs]:
        return dict(zip(ids, await asyncio.gather(*(self._one(one) for one in ids)), strict=True))

    async def _one(self, child: str) -> Signs:
        try:
            states = [state[:1] for state in await asyncio.wait_for(self.states_of(child), LOOK_S)]
        except (OSError, TimeoutError):
            return Signs(busy=True, what="nothing more is known")
        if "T" in states or "t" in states:
            return Signs(what="stopped")
        if "R" in states:
            return Signs(busy=True, what="computing, or without a processor")
        return Signs(what="its loop is blocked" if states else "")


def look_for(engine: Engine) -> Look:
    """What can be looked at with this engine."""
    states = getattr(engine, "process_states", None)
    if states:
        return ContainerLook(states)

    def pid_of(child: str) -> int | None:
        where = engine.whereabouts(child)
        return where.works or where.pid

    return ProcessLook(pid_of)


def _state(path: Path) -> str:
    try:
        return path.read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""
