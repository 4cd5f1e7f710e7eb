"""The contract of the unit of work on SQLite and on PostgreSQL, and what only one of them can show."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from shared.errors import ConfigurationError, Deferred, Rejected
from shared.testing.fault_proxy import FaultProxy
from tests.contract_suite.replica import DEADLINE_S, Owner
from tests.contract_suite.unit_of_work import *  # noqa: F403 - its tests are collected here
from tests.integration.databases import postgres_container


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgres_container() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
async def owner(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Owner]:
    sqlite = request.param == "sqlite"
    url = f"sqlite+aiosqlite:///{tmp_path}/deep/er/o.db" if sqlite else str(request.getfixturevalue("postgres"))
    async with AsyncExitStack() as stack:
        yield Owner(url, f"owner_{uuid4().hex[:8]}", stack)


@pytest.fixture
async def scaled_owner(postgres: str) -> AsyncIterator[Owner]:
    async with AsyncExitStack() as stack:
        yield Owner(postgres, f"owner_{uuid4().hex[:8]}", stack)


async def test_a_second_replica_on_sqlite_is_refused_and_told_what_to_do(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        owner = Owner(f"sqlite+aiosqlite:///{tmp_path}/o.db", "owner", stack)
        first = await owner.replica(1)
        with pytest.raises(ConfigurationError, match="SQLite serves one replica only") as refusal:
            await owner.replica(2)
        assert refusal.value.field == "WARREN_DATABASE_URL"
        assert "postgresql" in str(refusal.value.hint)
        await first.apply(first.doing("still works"))
        await first.close()
        await (await owner.replica(3)).apply(first.doing("free again"))


async def test_a_value_that_postgresql_can_never_store_is_rejected_at_once(scaled_owner: Owner) -> None:
    replica = await scaled_owner.replica()
    works = [replica.doing("a"), replica.doing("b\0"), replica.doing("c")]
    results = await asyncio.gather(*map(replica.apply, works), return_exceptions=True)
    assert [type(result).__name__ for result in results] == ["NoneType", "Rejected", "NoneType"]
    with pytest.raises(Rejected, match="cannot store"):
        await replica.apply(replica.doing("x" * 51))


async def test_a_database_that_is_away_burns_no_attempts_and_comes_back(scaled_owner: Owner) -> None:
    async with FaultProxy.to(scaled_owner.url) as proxy:
        replica = await scaled_owner.replica(url=proxy.url)
        replica.database.relay.orphans_every_s = 0.05
        replica.start_relay()
        await replica.apply(replica.doing("before"), "m0")
        proxy.refuse()
        for n in range(3):
            with pytest.raises(Deferred, match="away"):
                await replica.apply(replica.doing(f"{n}"), f"m{n}")
        proxy.accept()
        await replica.apply(replica.doing("after"), "m9")
        assert await replica.done() == ["before", "after"]
        await replica.database.relay.drain(DEADLINE_S)
        assert len(set(replica.published)) == 4
        assert not any(task.done() for task in replica.tasks)
