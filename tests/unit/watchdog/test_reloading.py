"""The tree read again while it runs, and the tree described."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.watchdog.reloading import Reloading
from services.watchdog.supervision import Supervisor
from services.watchdog.tree import Group
from services.watchdog.tree_file import TreeError, parse_tree
from services.watchdog.watch import Watch
from shared.contracts.message import Refused
from shared.contracts.supervision import DescribeTree, ReloadTree, TreeReloaded
from shared.errors import ConfigurationError
from shared.messaging.envelope import Envelope
from tests.unit.watchdog.memory_engine import MemoryEngine

ENVELOPE = Envelope(queue="watchdog.v1", message_id="1", type="", routing_key="")
TREE = """
[[children]]
group = "memory"
max_restarts = 5
period_s = 60
on_exhausted = "quarantine"
children = [{ service = "memory" }]
"""


class Room:
    def __init__(self, home: Path) -> None:
        self.file = home / "tree.toml"
        self.file.write_text(TREE)
        self.engine = MemoryEngine()
        self.watch = Watch(Supervisor(self.read()), self.engine, home, "keeper-1")
        self.reloading = Reloading(self.watch, self.read)
        self.task = asyncio.create_task(self.watch.run())

    def read(self) -> Group:
        try:
            return parse_tree(self.file.read_text(), source="tree.toml")
        except TreeError as error:
            raise ConfigurationError(str(error), field="WARREN_TREE") from error

    async def reload(self, text: str) -> TreeReloaded | Refused:
        self.file.write_text(text)
        return await self.reloading.on_reload_tree(ReloadTree(), ENVELOPE)

    async def until_running(self, *names: str) -> None:
        async with asyncio.timeout(30):
            while self.engine.running.keys() != set(names) or self.running() != {*names, "watchdog-1"}:
                await asyncio.to_thread(lambda: None)
                assert not self.task.done()

    def running(self) -> set[str]:
        return {row["instance"] for row in self.watch.rows() if row["state"] == "running"}


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    room = Room(tmp_path)
    await room.until_running("memory-1")
    room.engine.calls.clear()
    yield room
    room.task.cancel()
    await asyncio.gather(room.task, return_exceptions=True)


async def test_what_is_new_is_started_and_what_is_gone_is_stopped(room: Room):
    assert await room.reload(TREE + '[[children]]\nservice = "writer"\nreplicas = 2\n') == TreeReloaded(
        changes=("added writer-1, writer-2",)
    )
    await room.until_running("memory-1", "writer-1", "writer-2")
    assert await room.reload(TREE) == TreeReloaded(changes=("removed writer-2, writer-1",))
    await room.until_running("memory-1")
    assert room.engine.calls == ["start writer-1", "start writer-2", "stop writer-2", "stop writer-1"]


async def test_a_wrong_tree_is_refused_by_line_and_the_old_one_stays_and_that_is_said(room: Room):
    answer = await room.reload(TREE + 'strategy = "all"\n')
    assert isinstance(answer, Refused)
    assert answer.reason.startswith("tree.toml, line 8: children.0.strategy: must be one of")
    described = await room.reloading.on_describe_tree(DescribeTree(), ENVELOPE)
    assert described.refused == answer.reason
    assert [node.id for node in described.nodes] == ["root", "memory", "memory-1"]
    assert room.engine.calls == []
    assert await room.reload(TREE) == TreeReloaded()
    assert (await room.reloading.on_describe_tree(DescribeTree(), ENVELOPE)).refused is None


async def test_the_description_tells_budgets_and_who_failed_last(room: Room):
    room.engine.ended("memory-1", "exit code 3")
    async with asyncio.timeout(10):
        while room.engine.calls != ["start memory-1"]:
            await asyncio.to_thread(lambda: None)
    await room.until_running("memory-1")
    root, group, child = (await room.reloading.on_describe_tree(DescribeTree(), ENVELOPE)).nodes
    assert (root.kind, root.parent, root.children, root.running) == ("group", None, 1, 1)
    assert (group.state, group.restarts_left, group.max_restarts, group.period_s) == ("up", 4, 5, 60)
    assert (group.last_failed, group.last_failed_reason) == ("memory-1", "exit code 3")
    assert (child.state, child.restarts, child.service, child.parent) == ("running", 1, "memory", "memory")
