"""Goals by their id, or by its beginning as people type it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.planner.goal import Goal
from services.planner.store import Goals
from services.planner.tables import TABLES
from shared.contracts.goals import SubmitGoal
from shared.messaging.database import Database
from shared.messaging.envelope import Outgoing
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
