"""The contract of engines, on children in memory: what the watch's tests stand on behaves like the real ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from services.watchdog.engine import Engine
from services.watchdog.post_mortem import PostMortem
from services.watchdog.tree import Child
from tests.engine_contract import EngineContract, Program
from tests.unit.watchdog.memory_engine import MemoryEngine


class MemoryGround:
    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "vmstat").write_text("oom_kill 0\n")
        self.running: dict[str, int] = {}
        self.programs: dict[str, Program] = {}
        self.current: MemoryEngine | None = None

    async def make(self, programs: Mapping[str, Program]) -> list[Child]:
        self.programs = dict(programs)
        return [Child(name, name.rpartition("-")[0]) for name in programs]

    def engine(self) -> Engine:
        stubborn = {name for name, program in self.programs.items() if program == "stubborn"}
        ends = {name: int(program[-1]) for name, program in self.programs.items() if program.startswith("ends_with")}
        self.current = MemoryEngine(running=self.running, stubborn=stubborn, ends=ends)
        return self.current

    async def kill(self, child_id: str) -> None:
        assert self.current
        self.current.ended(child_id, "killed by SIGKILL")

    async def run_out_of_memory(self, child_id: str) -> None:
        assert self.current
        self.current.ended(child_id, "out of memory")

    def identity(self, engine: Engine, child_id: str) -> object:
        return engine.whereabouts(child_id).pid

    def post_mortem(self, engine: Engine) -> PostMortem:
        return PostMortem(engine, self.home, vmstat=self.home / "vmstat")


class TestMemoryEngine(EngineContract):
    @pytest.fixture
    async def ground(self, tmp_path: Path) -> MemoryGround:  # type: ignore[override]
        return MemoryGround(tmp_path)
