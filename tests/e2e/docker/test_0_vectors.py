"""OTP's vectors on real containers: the watch, the Docker engine, the socket proxy. Orders are read from the audit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import pytest

from services.watchdog.supervision import Supervisor
from services.watchdog.tree import Child, Group, Strategy
from services.watchdog.watch import Watch
from tests.e2e.docker.ground import ContainerGround, containers
from tests.engine_contract import Program

NAMES = ("planner-1", "researcher-1", "writer-1", "memory-1")
DEADLINE_S = 60.0


class Room:
    """A watch on containers of otp.md's group. A second one on the same ground is its successor."""

    def __init__(self, ground: ContainerGround, home: Path, group: Group) -> None:
        self.ground, self.home, self.audit = ground, home, home / "logs" / "audit.log"
        self.watch = Watch(Supervisor(group), ground.engine(), home, "docker")
        self.task = asyncio.create_task(self.watch.run())

    def states(self) -> dict[str, tuple[str, int]]:
        rows = [row for row in self.watch.rows() if row["service"] != "watchdog"]
        return {row["instance"]: (row["state"], row["restarts"]) for row in rows}

    def orders(self) -> list[str]:
        lines = [json.loads(line) for line in self.audit.read_text().splitlines()] if self.audit.exists() else []
        return [f"{line['action']} {line['child']}" for line in lines if line["action"] in ("start", "stop", "kill")]

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        quiet = asyncio.Event()
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not condition():
                    if self.task.done():
                        self.task.result()
                        assert condition(), what
                    try:
                        await asyncio.wait_for(quiet.wait(), 0.05)
                    except TimeoutError:
                        continue
        except TimeoutError:
            raise AssertionError(f"not within {DEADLINE_S:g} s: {what}; {self.states()} {self.orders()}") from None

    async def up(self) -> Room:
        await self.until(lambda: {state for state, _ in self.states().values()} == {"running"}, "all to run")
        self.audit.unlink()
        return self

    async def crash(self, name: str, restarts: int) -> None:
        await self.ground.kill(name)
        await self.until(lambda: self.states()[name] == ("running", restarts), f"restart {restarts} of {name}")

    async def close(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.watch.engine.close()


Begin = Callable[..., Awaitable["Room"]]


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[ContainerGround]:
    async with containers(tmp_path) as ground:
        yield ground


@pytest.fixture
async def begin(ground: ContainerGround, tmp_path: Path) -> AsyncIterator[Begin]:
    rooms: list[Room] = []

    async def room(programs: Mapping[str, Program] | None = None, **more: object) -> Room:
        chosen = programs or dict.fromkeys(NAMES, "obedient")
        if not ground.containers:
            await ground.make(chosen)
        children = tuple(Child(name, name.rpartition("-")[0], start_timeout_s=60) for name in chosen)
        rooms.append(Room(ground, tmp_path, Group("mesh", children, **more)))  # type: ignore[arg-type]
        return rooms[-1]

    yield room
    for one in rooms:
        await one.close()


async def test_tv1_one_for_one_starts_only_the_one_that_was_killed(begin: Begin):
    room = await (await begin()).up()
    await room.crash("researcher-1", 1)
    assert room.orders() == ["start researcher-1"]
    assert {name: restarts for name, (_, restarts) in room.states().items() if restarts} == {"researcher-1": 1}


async def test_tv2_rest_for_one_restarts_those_after_it_in_order(begin: Begin):
    room = await (await begin(strategy=Strategy.REST_FOR_ONE)).up()
    await room.ground.kill("researcher-1")
    restarted = {"planner-1": 0, "researcher-1": 1, "writer-1": 1, "memory-1": 1}
    await room.until(lambda: room.states() == {n: ("running", r) for n, r in restarted.items()}, "three restarts")
    assert room.orders() == [
        "stop memory-1", "stop writer-1", "start researcher-1", "start writer-1", "start memory-1",
    ]  # fmt: skip


@pytest.mark.parametrize(("budget", "period"), [(3, 300), (5, 60)], ids=["tv4", "tv5"])
async def test_tv4_tv5_one_more_than_the_budget_stops_all_in_reverse(begin: Begin, budget: int, period: int):
    """The period is long enough for a slow machine: the arithmetic of the window has its own tests on a fake clock."""
    room = await (await begin(max_restarts=budget, period_s=period)).up()
    for number in range(1, budget + 1):
        await room.crash("researcher-1", number)
    room.audit.unlink()
    await room.ground.kill("researcher-1")
    await room.until(room.watch.down.is_set, "the end of all")
    assert room.watch.supervisor.gave_up
    assert room.orders() == ["stop memory-1", "stop writer-1", "stop planner-1"]


async def test_tv12_a_failure_at_boot_stops_who_was_started_in_reverse(begin: Begin):
    room = await begin({"planner-1": "obedient", "researcher-1": "obedient", "writer-1": "ends_with_3"})
    await room.until(room.watch.down.is_set, "the end of all")
    assert room.watch.supervisor.gave_up
    assert room.orders() == [
        "start planner-1", "start researcher-1", "start writer-1", "stop researcher-1", "stop planner-1",
    ]  # fmt: skip


async def test_tv16_a_new_watchdog_adopts_all_and_starts_what_died_meanwhile(begin: Begin):
    first = await (await begin()).up()
    await first.close()
    second = await begin()
    await second.until(lambda: set(second.states().values()) == {("running", 0)}, "an adoption")
    assert second.orders() == []
    await second.close()
    await second.ground.kill("writer-1")
    third = await begin()
    await third.until(lambda: {state for state, _ in third.states().values()} == {"running"}, "writer-1 to run")
    assert third.orders() == ["start writer-1"]
