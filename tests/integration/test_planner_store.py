"""Goals by their id, or by its beginning as people type it; and what is remembered of them between two messages."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.planner.goal import Goal, Step
from services.planner.store import Goals
from services.planner.tables import TABLES
from shared.contracts.goals import StepSpec, SubmitGoal
from shared.messaging.database import Database, Unit
from shared.messaging.envelope import Envelope, Outgoing
from shared.messaging.publish import Stamp

NOW = datetime(2026, 1, 1, tzinfo=UTC)


async def _nowhere(out: Outgoing) -> None:
    raise AssertionError(f"nothing is published here: {out.type}")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/planner.db", TABLES, stamp=Stamp("planner", "planner-1"))
    await database.open(_nowhere)
    async with database.unit() as unit:
        goals = unit.state(Goals)
        for name in ("ab", "ab1", "ab2", "b_c"):
            goals.add(
                Goal(
                    goal_id=name,
                    submitted=SubmitGoal(goal="What is a lease?"),
                    reply="{}",
                    created_at=NOW,
                    deadline_at=NOW + timedelta(hours=1),
                )
            )
    yield database
    await database.close()


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("ab", {"ab"}),
        ("ab1", {"ab1"}),
        ("a", {"ab", "ab1", "ab2"}),
        ("b", {"b_c"}),
        ("x", set()),
        ("a%", set()),
        ("bxc", set()),
        ("b_", {"b_c"}),
    ],
)
async def test_a_whole_id_is_that_goal_and_a_part_of_one_all_that_begin_so(
    typed: str, found: set[str], database: Database
) -> None:
    async with database.read() as connection:
        ids = [goal.goal_id for goal in await Goals(connection).like(typed)]
    assert set(ids) <= found
    assert len(ids) == min(2, len(found)), "two are one too many"


async def test_what_was_undone_is_not_remembered(database: Database) -> None:
    async def get() -> Goal:
        async with database.unit() as unit:
            goal = await unit.state(Goals).get("ab1")
            assert goal is not None
            return goal

    async def fail() -> None:
        async with database.unit() as unit:
            goals = unit.state(Goals)
            goals.save(replace(await _there(goals), engine="never"))
            await goals.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert (await get()).engine is None
    async with database.unit() as unit:
        goals = unit.state(Goals)
        goals.save(replace(await _there(goals), engine="extractive"))
    assert (await get()).engine == "extractive"


async def test_messages_that_share_a_commit_see_each_others_changes(database: Database) -> None:
    """The second reads what the first has changed and not yet committed, not what was remembered before."""
    seen: list[str | None] = []

    async def mark(unit: Unit) -> None:
        goals = unit.state(Goals)
        goal = await _there(goals)
        seen.append(goal.engine)
        goals.save(replace(goal, engine=f"{goal.engine or ''}+"))

    async with database.unit() as unit:  # now it is remembered
        goals = unit.state(Goals)
        goals.save(await _there(goals))
    all_of_them = [asyncio.create_task(database.apply(mark, Envelope(message_id=f"m{n}"))) for n in range(5)]
    committing = asyncio.create_task(database.run())
    await asyncio.wait_for(asyncio.gather(*all_of_them), 30)
    await asyncio.wait_for(database.apply(mark, Envelope(message_id="later")), 30)
    committing.cancel()
    assert seen == [None, "+", "++", "+++", "++++", "+++++"]


async def test_steps_that_were_changed_unseen_are_read_with_their_change(database: Database) -> None:
    async with database.unit() as unit:
        goals = unit.state(Goals)
        goal = await _there(goals)
        goals.add_steps(goal, [Step("ab1", 1, n, StepSpec(id=f"s{n}", question="Why?")) for n in range(2)])
    (first, _) = await _steps(database)
    async with database.unit() as unit:
        goals = unit.state(Goals)
        goals.save_step(replace(first, fence=7))
        assert [step.fence for step in await goals.steps("ab1", 1)] == [7, 0]
    assert [step.fence for step in await _steps(database)] == [7, 0]


async def test_forgetting_old_goals_forgets_what_is_remembered_of_them(database: Database) -> None:
    async with database.unit() as unit:
        goals = unit.state(Goals)
        goals.save(replace(await _there(goals), ended_at=NOW))
    async with database.unit() as unit:
        assert await unit.state(Goals).purge(NOW + timedelta(days=1)) == 1
    async with database.unit() as unit:
        assert await unit.state(Goals).get("ab1") is None


async def _there(goals: Goals) -> Goal:
    goal = await goals.get("ab1")
    assert goal is not None
    return goal


async def _steps(database: Database) -> list[Step]:
    async with database.unit() as unit:
        return await unit.state(Goals).steps("ab1", 1)
