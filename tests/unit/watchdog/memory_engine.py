"""An engine whose children are names in memory: what the watch sees of processes or containers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from services.watchdog.actions import Ending, Exited, Started
from services.watchdog.engine import Adopted, EngineEvent, Whereabouts
from services.watchdog.liveness import Beat
from services.watchdog.tree import Child


@dataclass
class MemoryEngine:
    """Children are ready at once; those in `broken` cannot be started, those in `stubborn` ignore a stop, those in
    `ends` end at once with that exit code. `adopted`: what a predecessor left; `running`: that, as it goes on."""

    mode: str = "process"
    adopted: Adopted = field(default_factory=Adopted)
    running: dict[str, int] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    stubborn: set[str] = field(default_factory=set)
    ends: dict[str, int] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    _events: asyncio.Queue[EngineEvent] = field(default_factory=asyncio.Queue)
    _stopping: set[str] = field(default_factory=set)
    _last_pid: int = 1000

    async def adopt(self, children: Sequence[Child]) -> Adopted:
        for name in self.adopted.running:
            self._run(name)
        here = frozenset(child.id for child in children if child.id in self.running)
        return replace(self.adopted, running=self.adopted.running | here)

    async def start(self, child: Child) -> None:
        self.calls.append(f"start {child.id}")
        if child.id in self.broken:
            raise OSError("no such program")
        if child.id in self.running:
            return
        self._run(child.id)
        if child.id in self.ends:
            code = self.ends[child.id]
            self.ended(child.id, f"exit code {code}", Ending.ABNORMAL if code else Ending.NORMAL)
            return
        self._events.put_nowait(Started(child.id))

    async def stop(self, child_id: str) -> None:
        self.calls.append(f"stop {child_id}")
        self._stopping.add(child_id)
        if child_id not in self.stubborn:
            self.ended(child_id, "stopped", Ending.SHUTDOWN)

    async def kill(self, child_id: str, *, why: str | None = None) -> None:
        self.calls.append(f"kill {child_id}")
        ordered = child_id in self._stopping
        self.ended(child_id, why or "killed by SIGKILL", Ending.SHUTDOWN if ordered else Ending.ABNORMAL)

    def ended(self, child_id: str, reason: str, ending: Ending = Ending.ABNORMAL) -> None:
        self._stopping.discard(child_id)
        if self.running.pop(child_id, None):
            self.say(Exited(child_id, reason, ending))

    def say(self, event: EngineEvent) -> None:
        self._events.put_nowait(event)

    async def next_event(self) -> EngineEvent:
        return await self._events.get()

    def beats(self) -> Mapping[str, Beat]:
        return {}

    def whereabouts(self, child_id: str) -> Whereabouts:
        pid = self.running.get(child_id)
        return Whereabouts(pid=pid, started_at=float(pid)) if pid else Whereabouts()

    async def close(self) -> None:
        self.calls.append("close")

    def _run(self, child_id: str) -> None:
        self._last_pid = max(self._last_pid, *self.running.values(), 0) + 1
        self.running[child_id] = self._last_pid
