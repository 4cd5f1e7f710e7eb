"""What every engine promises the watchdog: one suite, unmodified, for children in memory, as processes, as containers.

A backend subclasses `EngineContract` and gives a `ground` fixture: programs that behave in known ways, and hands that
reach them from outside. Waits are for events, ten times longer than they take.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Literal, Protocol, TypeVar

import pytest

from services.watchdog.actions import Ending, Exited, Started
from services.watchdog.engine import Engine, EngineEvent
from services.watchdog.post_mortem import PostMortem
from services.watchdog.tree import Child

Program = Literal["obedient", "stubborn", "ends_with_0", "ends_with_3"]
"""Runs until SIGTERM and ends with 0; ignores SIGTERM; ends by itself at once."""
DEADLINE_S, AT_ONCE_S = 60.0, 5.0
E = TypeVar("E", Started, Exited)


class Ground(Protocol):
    """A place where one backend runs children. `make` comes first, once."""

    async def make(self, programs: Mapping[str, Program]) -> list[Child]:
        """Children named `<service>-<number>` that can be started; nothing runs yet."""

    def engine(self) -> Engine:
        """A watchdog's engine; a second one is its successor's."""

    async def kill(self, child_id: str) -> None:
        """SIGKILL from outside."""

    async def run_out_of_memory(self, child_id: str) -> None:
        """The kernel kills the child for want of memory."""

    def identity(self, engine: Engine, child_id: str) -> object:
        """Which process or container run that is; equal only for one and the same."""

    def post_mortem(self, engine: Engine) -> PostMortem:
        """As the watchdog uses it."""


async def heard(engine: Engine, kind: type[E], child_id: str, *, within_s: float = DEADLINE_S) -> E:
    """The next event of this kind about this child; those about others are an error, unless they are of its kind."""
    async with asyncio.timeout(within_s):
        while True:
            event = await engine.next_event()
            if isinstance(event, kind) and event.id == child_id:
                return event


async def silent(engine: Engine, child_id: str) -> None:
    """Nothing about this child is waiting to be heard."""
    waiting: asyncio.Task[EngineEvent] = asyncio.ensure_future(engine.next_event())
    done, _ = await asyncio.wait([waiting], timeout=0.5)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert not done or getattr(waiting.result(), "id", "") != child_id, waiting.result()


class EngineContract:
    """The suite. A subclass has the fixture `ground`."""

    @pytest.fixture
    async def ground(self) -> Ground:
        raise NotImplementedError

    async def begin(self, ground: Ground, programs: Mapping[str, Program]) -> tuple[Engine, dict[str, Child]]:
        children = await ground.make(programs)
        engine = ground.engine()
        adopted = await engine.adopt(children)
        assert not adopted.running
        assert not adopted.missing
        return engine, {child.id: child for child in children}

    async def run(self, ground: Ground, programs: Mapping[str, Program]) -> tuple[Engine, dict[str, Child]]:
        engine, children = await self.begin(ground, programs)
        for child in children.values():
            await engine.start(child)
            await heard(engine, Started, child.id)
        return engine, children

    async def test_a_start_is_reported_and_the_child_has_a_place(self, ground: Ground) -> None:
        engine, children = await self.begin(ground, {"a-1": "obedient"})
        assert engine.whereabouts("a-1").started_at is None
        await engine.start(children["a-1"])
        assert await heard(engine, Started, "a-1") == Started("a-1")
        where = engine.whereabouts("a-1")
        assert where.started_at is not None
        assert (where.pid is None) is (engine.mode == "docker")
        assert (where.container is None) is (engine.mode != "docker")
        await engine.close()

    async def test_a_second_start_changes_nothing(self, ground: Ground) -> None:
        engine, children = await self.run(ground, {"a-1": "obedient"})
        before = ground.identity(engine, "a-1")
        await engine.start(children["a-1"])
        assert ground.identity(engine, "a-1") == before
        await engine.stop("a-1")
        await heard(engine, Exited, "a-1")
        await silent(engine, "a-1")
        assert engine.whereabouts("a-1").started_at is None
        await engine.close()

    async def test_a_stop_is_a_shutdown_whatever_the_code(self, ground: Ground) -> None:
        engine, _ = await self.run(ground, {"a-1": "obedient"})
        await engine.stop("a-1")
        await engine.stop("a-1")
        event = await heard(engine, Exited, "a-1")
        assert (event.ending, event.by_person) == (Ending.SHUTDOWN, False)
        await engine.close()

    async def test_who_ignores_a_stop_is_killed(self, ground: Ground) -> None:
        engine, _ = await self.run(ground, {"a-1": "stubborn"})
        await engine.stop("a-1")
        await silent(engine, "a-1")
        assert engine.whereabouts("a-1").started_at is not None, "a stop does not wait, and asks only"
        await engine.kill("a-1")
        event = await heard(engine, Exited, "a-1")
        assert (event.ending, event.by_person) == (Ending.SHUTDOWN, False)
        await engine.close()

    @pytest.mark.parametrize(("code", "ending"), [(0, Ending.NORMAL), (3, Ending.ABNORMAL)])
    async def test_an_end_is_reported_with_its_code(self, ground: Ground, code: int, ending: Ending) -> None:
        program: Program = "ends_with_3" if code else "ends_with_0"
        engine, children = await self.begin(ground, {"a-1": program})
        await engine.start(children["a-1"])
        event = await heard(engine, Exited, "a-1")
        assert (event.reason, event.ending) == (f"exit code {code}", ending)
        assert ground.post_mortem(engine).look("a-1", event.reason).exit_code == code
        await engine.close()

    async def test_a_kill_from_outside_is_a_crash_with_its_signal(self, ground: Ground) -> None:
        engine, _ = await self.run(ground, {"a-1": "obedient"})
        post_mortem = ground.post_mortem(engine)
        await ground.kill("a-1")
        event = await heard(engine, Exited, "a-1")
        assert (event.ending, event.by_person) == (Ending.ABNORMAL, False)
        remains = post_mortem.look("a-1", event.reason)
        assert (remains.signal, remains.out_of_memory) == ("SIGKILL", False)
        await engine.close()

    async def test_an_end_for_want_of_memory_says_so(self, ground: Ground) -> None:
        engine, _ = await self.run(ground, {"a-1": "obedient"})
        post_mortem = ground.post_mortem(engine)
        post_mortem.note_memory()
        await ground.run_out_of_memory("a-1")
        event = await heard(engine, Exited, "a-1")
        assert event.ending is Ending.ABNORMAL
        assert post_mortem.look("a-1", event.reason).out_of_memory
        await engine.close()

    async def test_our_own_kill_says_why_and_is_abnormal(self, ground: Ground) -> None:
        engine, _ = await self.run(ground, {"a-1": "obedient"})
        await engine.kill("a-1", why="hung: silent for 2 s")
        event = await heard(engine, Exited, "a-1")
        assert (event.reason, event.ending) == ("hung: silent for 2 s", Ending.ABNORMAL)
        await engine.close()

    async def test_an_order_for_who_does_not_run_is_harmless(self, ground: Ground) -> None:
        engine, _ = await self.begin(ground, {"a-1": "obedient"})
        for name in ("a-1", "nobody-1"):
            await engine.stop(name)
            await engine.kill(name)
            await silent(engine, name)
        assert engine.whereabouts("nobody-1").started_at is None
        await engine.close()

    async def test_an_ended_child_can_be_started_again(self, ground: Ground) -> None:
        engine, children = await self.run(ground, {"a-1": "obedient"})
        before = ground.identity(engine, "a-1")
        await ground.kill("a-1")
        await heard(engine, Exited, "a-1")
        await engine.start(children["a-1"])
        await heard(engine, Started, "a-1")
        assert ground.identity(engine, "a-1") != before
        await engine.close()

    async def test_replicas_are_children_of_their_own(self, ground: Ground) -> None:
        engine, children = await self.run(ground, {"a-1": "obedient", "a-2": "obedient"})
        assert {child.service for child in children.values()} == {"a"}
        other = ground.identity(engine, "a-2")
        assert ground.identity(engine, "a-1") != other
        await ground.kill("a-1")
        await heard(engine, Exited, "a-1")
        await silent(engine, "a-2")
        assert ground.identity(engine, "a-2") == other
        await engine.close()

    async def test_an_end_is_an_event_and_not_found_by_asking(self, ground: Ground) -> None:
        engine, _ = await self.run(ground, {"a-1": "obedient"})
        waiting = asyncio.create_task(heard(engine, Exited, "a-1", within_s=AT_ONCE_S))
        began = time.monotonic()
        await ground.kill("a-1")
        await waiting
        assert time.monotonic() - began < AT_ONCE_S
        await engine.close()

    async def test_children_outlive_their_watchdog_and_are_adopted_by_identity(self, ground: Ground) -> None:
        first, children = await self.run(ground, {"a-1": "obedient", "a-2": "obedient"})
        before = {name: ground.identity(first, name) for name in children}
        await first.close()
        second = ground.engine()
        adopted = await second.adopt(list(children.values()))
        assert adopted.running == {"a-1", "a-2"}
        assert not adopted.died
        assert {name: ground.identity(second, name) for name in children} == before
        await ground.kill("a-2")
        assert (await heard(second, Exited, "a-2")).ending is Ending.ABNORMAL
        await second.stop("a-1")
        assert (await heard(second, Exited, "a-1")).ending is Ending.SHUTDOWN
        await second.close()

    async def test_who_died_without_a_watchdog_is_not_taken_for_alive(self, ground: Ground) -> None:
        first, children = await self.run(ground, {"a-1": "obedient", "a-2": "obedient"})
        await first.close()
        await ground.kill("a-2")
        second = ground.engine()
        adopted = await second.adopt(list(children.values()))
        assert adopted.running == {"a-1"}
        assert "a-2" not in adopted.missing, "it can be started"
        await second.start(children["a-2"])
        await heard(second, Started, "a-2")
        await second.close()
