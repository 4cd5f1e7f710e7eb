"""The contract of the unit of work, on SQLite and on PostgreSQL: state, inbox and outbox are one thing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, func, insert, select, text, update

from shared.contracts.message import Done, Message
from shared.contracts.supervision import ChildDied
from shared.errors import ConfigurationError, Deferred, Rejected, Retryable
from shared.messaging.database import Database, Unit
from shared.messaging.envelope import Envelope, Outgoing
from shared.messaging.publish import Stamp
from shared.testing.fault_proxy import FaultProxy
from tests.integration.databases import postgres_container

DEADLINE_S = 20.0
Work = Callable[[Unit], Awaitable[Message | None]]


@dataclass
class Replica:
    """A database opened by one replica; `published`: what its relay sent. It sends nothing while `broker_away`."""

    database: Database
    effects: Table
    published: list[str] = field(default_factory=list)
    broker_away: bool = False
    tried: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    async def publish(self, out: Outgoing) -> None:
        self.tried.set()
        await asyncio.sleep(0)  # as any network does, it gives others a turn
        if self.broker_away:
            raise Retryable("no confirm")
        self.published.append(out.message_id)

    async def open(self) -> None:
        await self.database.open(self.publish)
        self.tasks.append(asyncio.create_task(self.database.run()))

    def start_relay(self) -> None:
        self.tasks.append(asyncio.create_task(self.database.relay.run()))

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.database.close()

    def doing(self, what: str, error: Exception | None = None) -> Work:
        async def work(unit: Unit) -> Done:
            await unit.connection.execute(insert(self.effects).values(what=what))
            unit.publish(ChildDied(service="s", instance=what, reason="r"), subject="s")
            if error:
                raise error
            return Done(count=1)

        return work

    async def apply(self, work: Work, message_id: str | None = None, *, once: bool = True) -> None:
        envelope = Envelope(message_id=message_id or str(uuid4()), reply_to="client.me")
        await asyncio.wait_for(self.database.apply(work, envelope, once=once), DEADLINE_S)

    async def done(self) -> list[str]:
        async with self.database.read() as connection:
            rows = await connection.execute(select(self.effects.c.what).order_by(self.effects.c.id))
            return list(rows.scalars())

    async def count(self, table: Table) -> int:
        async with self.database.read() as connection:
            return int((await connection.execute(select(func.count()).select_from(table))).scalar_one())

    async def left_behind(self) -> int:
        """Rows of the outbox, made old enough to be taken for a dead replica's."""
        outbox = self.database.messaging.outbox
        async with self.database.engine.begin() as connection:
            await connection.execute(update(outbox).values(at=datetime.now(UTC) - timedelta(minutes=1)))
        return await self.count(outbox)


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgres_container() as url:
        yield url


@dataclass
class Owner:
    url: str
    name: str
    stack: AsyncExitStack

    async def replica(self, number: int = 1, *, url: str | None = None) -> Replica:
        metadata = MetaData()
        columns = (Column("id", Integer, primary_key=True), Column("what", String(50), unique=False))
        effects = Table("effects", metadata, *columns)
        replica = Replica(Database(url or self.url, metadata, stamp=Stamp(self.name, f"r{number}")), effects)
        await replica.open()
        self.stack.push_async_callback(replica.close)
        return replica


@pytest.fixture(params=["sqlite", "postgresql"])
async def owner(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Owner]:
    sqlite = request.param == "sqlite"
    url = f"sqlite+aiosqlite:///{tmp_path}/deep/er/o.db" if sqlite else str(request.getfixturevalue("postgres"))
    async with AsyncExitStack() as stack:
        yield Owner(url, f"owner_{uuid4().hex[:8]}", stack)


@pytest.fixture
async def postgres_owner(postgres: str) -> AsyncIterator[Owner]:
    async with AsyncExitStack() as stack:
        yield Owner(postgres, f"owner_{uuid4().hex[:8]}", stack)


async def test_what_fails_is_undone_alone(owner: Owner) -> None:
    replica = await owner.replica()
    works = [replica.doing(f"{n}", Rejected("no") if n % 3 == 0 else None) for n in range(30)]
    results = await asyncio.gather(*map(replica.apply, works), return_exceptions=True)
    assert [isinstance(r, Rejected) for r in results] == [n % 3 == 0 for n in range(30)]
    assert await replica.done() == [f"{n}" for n in range(30) if n % 3]
    assert await replica.count(replica.database.messaging.inbox) == 20
    assert await replica.count(replica.database.messaging.outbox) == 2 * 20


async def test_what_the_database_refuses_spoils_no_other(owner: Owner) -> None:
    replica = await owner.replica()

    async def wrong(unit: Unit) -> None:
        await unit.connection.execute(insert(replica.effects).values(what="wrong"))
        await unit.connection.execute(text("INSERT INTO no_such_table VALUES (1)"))

    works = [*(replica.doing(f"{n}") for n in range(5)), wrong, replica.doing("5")]
    results = await asyncio.gather(*map(replica.apply, works), return_exceptions=True)
    assert [type(r).__name__ for r in results if r is not None] == ["Retryable"]
    assert await replica.done() == [f"{n}" for n in range(6)]


async def test_a_message_id_is_handled_once_and_its_reply_kept(owner: Owner) -> None:
    replica = await owner.replica()
    replica.start_relay()
    for _ in range(3):
        await replica.apply(replica.doing("a"), "m1")
    await replica.database.relay.drain(DEADLINE_S)
    assert await replica.done() == ["a"]
    assert len(replica.published) == 4, "one event, three replies"
    assert len(set(replica.published)) == 2


async def test_once_false_sees_every_delivery(owner: Owner) -> None:
    replica = await owner.replica()
    for _ in range(2):
        await replica.apply(replica.doing("a"), "m1", once=False)
    assert await replica.done() == ["a", "a"]


async def test_a_background_unit_is_all_or_nothing(owner: Owner) -> None:
    replica = await owner.replica()
    called: list[str] = []

    async def change_my_mind() -> None:
        async with replica.database.unit() as unit:
            unit.after_commit(lambda: called.append("undone"))
            await replica.doing("undone", ValueError("changed my mind"))(unit)

    with pytest.raises(ValueError, match="changed my mind"):
        await change_my_mind()
    async with replica.database.unit() as unit:
        unit.after_commit(lambda: called.append("done"))
        await replica.doing("done")(unit)
        assert called == []
    assert called == ["done"]
    assert await replica.done() == ["done"]
    assert await replica.count(replica.database.messaging.outbox) == 1


async def test_what_was_there_is_there_after_opening_again(owner: Owner) -> None:
    first = await owner.replica()
    await first.apply(first.doing("a"), "m1")
    await first.close()
    again = await owner.replica(2)
    await again.apply(again.doing("a"), "m1")
    assert await again.done() == ["a"]


async def test_what_is_not_confirmed_stays_and_leaves_later_in_order(owner: Owner) -> None:
    replica = await owner.replica()
    replica.broker_away = True
    replica.start_relay()
    for n in range(5):
        await replica.apply(replica.doing(f"{n}"), f"m{n}")
    await asyncio.wait_for(replica.tried.wait(), DEADLINE_S)
    assert replica.published == []
    assert await replica.count(replica.database.messaging.outbox) == 10
    replica.broker_away = False
    await replica.database.relay.drain(DEADLINE_S)
    async with replica.database.read() as connection:
        assert (await connection.execute(select(replica.database.messaging.outbox))).first() is None
    assert len(replica.published) == len(set(replica.published)) == 10


async def test_rows_of_a_dead_replica_are_published_by_the_next_one(owner: Owner) -> None:
    dead = await owner.replica()
    await dead.apply(dead.doing("a"), "m1")
    await dead.left_behind()
    await dead.close()
    heir = await owner.replica(2)
    heir.start_relay()
    await asyncio.wait_for(heir.tried.wait(), DEADLINE_S)
    await heir.database.relay.drain(DEADLINE_S)
    assert len(heir.published) == 2
    assert await heir.count(heir.database.messaging.outbox) == 0


async def test_what_was_sent_is_not_sent_again_when_the_commit_that_deletes_it_fails(owner: Owner) -> None:
    replica = await owner.replica()
    replica.database.relay.orphans_every_s = 3600
    replica.start_relay()
    await replica.apply(replica.doing("a"), "m1")
    async with asyncio.timeout(DEADLINE_S):
        while len(replica.published) < 2:
            await asyncio.sleep(0)

    async def wrong(unit: Unit) -> None:
        await unit.connection.execute(text("INSERT INTO no_such_table VALUES (1)"))

    with pytest.raises(Retryable):
        await replica.apply(wrong)
    assert await replica.left_behind() == 2
    replica.database.relay.orphans_every_s = 0.0
    replica.tasks[-1].cancel()
    replica.start_relay()
    await replica.database.relay.drain(DEADLINE_S)
    async with asyncio.timeout(DEADLINE_S):
        while await replica.count(replica.database.messaging.outbox):
            pass
    assert len(replica.published) == 2


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


async def test_replicas_on_postgresql_leave_each_others_fresh_rows_alone_and_take_the_old_ones(
    postgres_owner: Owner,
) -> None:
    a, b = await postgres_owner.replica(1), await postgres_owner.replica(2)
    await a.apply(a.doing("x"), "m1")  # committed; its relay does not run
    b.database.relay.orphans_every_s = 0.05
    b.start_relay()
    await b.apply(b.doing("y"), "m2")
    async with asyncio.timeout(DEADLINE_S):
        while len(b.published) < 2:
            await asyncio.sleep(0)
    assert await a.count(a.database.messaging.outbox) >= 2, "a has just committed them and would publish them"
    assert len(b.published) == 2
    await a.left_behind()
    async with asyncio.timeout(DEADLINE_S):
        while len(b.published) < 4:
            await b.apply(b.doing("busy"), "m3")  # a busy replica looks after orphans, too
    assert len(set(b.published)) >= 4


async def test_two_replicas_on_postgresql_handle_a_message_once(postgres_owner: Owner) -> None:
    a, b = await postgres_owner.replica(1), await postgres_owner.replica(2)
    for n in range(10):
        results = await asyncio.gather(
            a.apply(a.doing(f"{n}"), f"m{n}"), b.apply(b.doing(f"{n}"), f"m{n}"), return_exceptions=True
        )
        assert all(result is None or isinstance(result, Retryable) for result in results)
    assert sorted(await a.done()) == [f"{n}" for n in range(10)]


async def test_a_value_that_postgresql_can_never_store_is_rejected_at_once(postgres_owner: Owner) -> None:
    replica = await postgres_owner.replica()
    works = [replica.doing("a"), replica.doing("b\0"), replica.doing("c")]
    results = await asyncio.gather(*map(replica.apply, works), return_exceptions=True)
    assert [type(result).__name__ for result in results] == ["NoneType", "Rejected", "NoneType"]
    with pytest.raises(Rejected, match="cannot store"):
        await replica.apply(replica.doing("x" * 51))


async def test_a_database_that_is_away_burns_no_attempts_and_comes_back(postgres_owner: Owner) -> None:
    async with FaultProxy.to(postgres_owner.url) as proxy:
        replica = await postgres_owner.replica(url=proxy.url)
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
