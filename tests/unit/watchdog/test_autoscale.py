"""Replicas follow work: up at once, down after a cool-down, people before both."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from services.watchdog.autoscale import Scale
from services.watchdog.autoscaler import Autoscaler
from services.watchdog.engine import Adopted
from services.watchdog.supervision import Supervisor
from services.watchdog.tree import Autoscale, Child, leaves
from services.watchdog.tree_file import TreeError, parse_tree
from services.watchdog.watch import Watch
from tests.unit.watchdog.memory_engine import MemoryEngine

RULE = Autoscale(least=1, most=4, queued=2, cool_down_s=30)
TREE = """
[[children]]
group = "researcher"
children = [{ service = "researcher", autoscale = { min = 1, max = 4, queued = 2, cool_down_s = 30 } }]
"""


def test_more_work_means_more_replicas_at_once_up_to_the_most() -> None:
    scale = Scale(RULE)
    assert [scale.wanted(work=work, replicas=1, now=0) for work in (0, 2, 3, 8, 100)] == [1, 1, 2, 4, 4]


def test_fewer_replicas_only_after_a_whole_cool_down_without_need() -> None:
    scale = Scale(RULE)
    assert scale.wanted(work=0, replicas=4, now=0) == 4
    assert scale.wanted(work=0, replicas=4, now=29.9) == 4
    assert scale.wanted(work=7, replicas=4, now=29.95) == 4  # needed again: the cool-down begins anew
    assert scale.wanted(work=0, replicas=4, now=30) == 4
    assert scale.wanted(work=3, replicas=4, now=60) == 2


def test_the_tree_file_says_it_and_names_what_is_wrong() -> None:
    (child,) = leaves(parse_tree(TREE))
    assert child.autoscale == RULE
    with pytest.raises(TreeError, match=r"line 4: .*autoscale\.max: must be a whole number of at least 2"):
        parse_tree(TREE.replace("min = 1", "min = 2").replace("max = 4", "max = 1"))
    with pytest.raises(TreeError, match="unknown field"):
        parse_tree(TREE.replace("queued", "queue"))


class Yard:
    """An autoscaler over a watch on an engine in memory. `step` is one look, with this much in the queue."""

    def __init__(self, home: Path, *, mode: str = "process", replicas: int = 1) -> None:
        self.now = 0.0
        extra = [Child(f"researcher-{n}", "researcher") for n in range(2, replicas + 1)]
        names = frozenset(f"researcher-{n}" for n in range(1, replicas + 1))
        self.engine = MemoryEngine(mode=mode, adopted=Adopted(names, extra=extra))
        self.watch = Watch(Supervisor(parse_tree(TREE)), self.engine, home, "keeper", clock=lambda: self.now)
        self.hands: Counter[str] = Counter()
        self.scaler = Autoscaler(self.watch, lambda child: self.hands[child])

    async def begin(self) -> Yard:
        await self.watch._take_over()
        return self

    async def step(self, waiting: int) -> dict[str, str]:
        """The states after a look and all that followed from it."""
        self.scaler_step(waiting)
        while chains := [task for task in self.watch._chains.values() if not task.done()]:
            for task in chains:
                await task
        while not self.engine._events.empty():
            self.watch._on_event(await self.engine.next_event())
        return {status.child.id: status.state for status in self.watch.supervisor.statuses(self.now)}

    def scaler_step(self, waiting: int) -> None:
        for service, children in self.scaler._ruled().items():
            self.scaler.step(service, children, waiting)


async def test_processes_are_created_for_work_and_ended_when_they_have_nothing_in_hand(tmp_path: Path) -> None:
    yard = await Yard(tmp_path).begin()
    assert set(await yard.step(8)) == {f"researcher-{n}" for n in (1, 2, 3, 4)}
    yard.hands.update({"researcher-3": 1})
    await yard.step(0)
    yard.now = 31
    assert set(await yard.step(0)) == {"researcher-3"}  # the one that works is spared, whatever its number
    yard.hands.clear()
    assert set(await yard.step(3)) == {"researcher-1", "researcher-3"}


async def test_containers_are_parked_and_started_again_never_created(tmp_path: Path) -> None:
    yard = await Yard(tmp_path, mode="docker", replicas=3).begin()
    await yard.step(0)
    yard.now = 31
    states = await yard.step(0)
    assert states == {"researcher-1": "running", "researcher-2": "held", "researcher-3": "held"}
    assert set((await yard.step(100)).values()) == {"running"}
    assert len(yard.engine.running) == 3


async def test_what_a_person_stopped_stays_down_until_they_release_it(tmp_path: Path) -> None:
    yard = await Yard(tmp_path, mode="docker", replicas=3).begin()
    yard.scaler.ordered("stop", "researcher-2")
    yard.watch.hold("researcher-2")
    assert (await yard.step(100))["researcher-2"] == "held"
    yard.scaler.ordered("release", "researcher-2")
    yard.watch.release("researcher-2")
    assert set((await yard.step(100)).values()) == {"running"}


async def test_a_new_watchdog_knows_which_containers_its_predecessor_parked(tmp_path: Path) -> None:
    yard = await Yard(tmp_path, mode="docker", replicas=2).begin()
    await yard.step(0)
    yard.now = 31
    assert (await yard.step(0))["researcher-2"] == "held"
    yard.scaler = Autoscaler(yard.watch, lambda child: 0)
    assert (await yard.step(4))["researcher-2"] == "running"
