"""The contract of engines, on plain processes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from services.watchdog import process_table
from services.watchdog.engine import Engine
from services.watchdog.post_mortem import PostMortem
from services.watchdog.process_engine import Launch, ProcessEngine
from services.watchdog.tree import Child
from tests.engine_contract import EngineContract, Program
from tests.integration.waiting import wait_until

LOOP = 'while :; do sleep 600 & wait "$!"; done'
SCRIPTS: Mapping[Program, str] = {
    "obedient": f'trap "exit 0" TERM; : > "$0"; {LOOP}',
    "stubborn": f'trap "" TERM; : > "$0"; {LOOP}',
    "ends_with_0": ': > "$0"; exit 0',
    "ends_with_3": ': > "$0"; exit 3',
}


class ProcessGround:
    """The machine's out-of-memory count is a file here: the kernel's own is not ours to raise."""

    def __init__(self, home: Path) -> None:
        self.home, self.vmstat = home, home / "vmstat"
        self.vmstat.write_text("oom_kill 0\n")
        self.programs: dict[str, Program] = {}
        self.engines: list[ProcessEngine] = []
        self.pids: dict[str, int] = {}

    async def make(self, programs: Mapping[str, Program]) -> list[Child]:
        self.programs = dict(programs)
        return [Child(name, name.rpartition("-")[0]) for name in programs]

    def engine(self) -> Engine:
        self.engines.append(ProcessEngine(self.home, self.launch, process_table.identity(os.getpid())))
        return self.engines[-1]

    def launch(self, child: Child) -> Launch:
        marker = self.home / f"{child.id}.ready"
        if not self.running(child.id):
            marker.unlink(missing_ok=True)

        async def ready() -> None:
            await asyncio.to_thread(wait_until, marker.exists, deadline_s=50, what=f"{child.id} to be ready")

        argv = ("sh", "-c", SCRIPTS[self.programs[child.id]], str(marker))
        return Launch(argv, dict(os.environ), self.home, ready)

    def running(self, child_id: str) -> bool:
        return any(found.instance == child_id for found in process_table.scan(self.home))

    async def kill(self, child_id: str) -> None:
        watched = self.engines[-1].whereabouts(child_id).pid
        pid = watched or next(found.pid for found in process_table.scan(self.home) if found.instance == child_id)
        os.kill(pid, signal.SIGKILL)
        if not watched:
            await asyncio.to_thread(os.waitpid, pid, 0)  # as the keeper does

    async def run_out_of_memory(self, child_id: str) -> None:
        self.vmstat.write_text("oom_kill 1\n")
        await self.kill(child_id)

    def identity(self, engine: Engine, child_id: str) -> object:
        pid = engine.whereabouts(child_id).pid
        return pid and (pid, process_table.start_ticks(pid))

    def post_mortem(self, engine: Engine) -> PostMortem:
        return PostMortem(engine, self.home, vmstat=self.vmstat)

    def end(self) -> None:
        for found in process_table.scan(self.home):
            process_table.end_group(found.pid, found.start)


class TestProcessEngine(EngineContract):
    @pytest.fixture
    async def ground(self, tmp_path: Path) -> AsyncIterator[ProcessGround]:  # type: ignore[override]
        ground = ProcessGround(tmp_path)
        yield ground
        await asyncio.to_thread(ground.end)
