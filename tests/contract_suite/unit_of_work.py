"""The contract of the unit of work: state, inbox and outbox are one thing, whatever database keeps them.

Each test here runs unmodified on SQLite and PostgreSQL (`tests/integration/test_delivery_database.py`) and on the
simulator's store (`tests/sim/test_store.py`). `owner` opens a database for one replica at a time, `scaled_owner` one
for several at once.
"""

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert, select, text, update

from shared.errors import Rejected, Retryable
from shared.messaging.database import Unit
from shared.messaging.envelope import Outgoing
from shared.messaging.outbox import load_rows, store
from tests.contract_suite.replica import DEADLINE_S, Owner, Replica, Work


async def test_what_fails_is_undone_alone(owner: Owner) -> None:
    replica = await owner.replica()
    works = [replica.doing(f"{n}", Rejected("no") if n % 3 == 0 else None) for n in range(30)]
    results = await asyncio.gather(*map(replica.apply, works), return_exceptions=True)
    assert [isinstance(r, Rejected) for r in results] == [n % 3 == 0 for n in range(30)]
    assert await replica.done() == [f"{n}" for n in range(30) if n % 3]
    assert await replica.count(replica.database.messaging.inbox) == 20
    assert await replica.count(replica.database.messaging.outbox) == 2 * 20


async def test_what_fails_with_nobody_beside_it_is_undone_too(owner: Owner) -> None:
    """It has no savepoint: its whole transaction goes, and with it the deletion of what was sent before."""
    replica = await owner.replica()
    replica.database.relay.orphans_every_s = 3600
    replica.start_relay()
    await replica.apply(replica.doing("a"), "m1")
    async with asyncio.timeout(DEADLINE_S):
        while len(replica.published) < 2:
            await asyncio.sleep(0)
    with pytest.raises(Rejected):
        await replica.apply(replica.doing("b", Rejected("no")), "m2")
    assert await replica.done() == ["a"]
    assert await replica.count(replica.database.messaging.inbox) == 1
    await replica.apply(replica.doing("b"), "m2")
    await replica.database.relay.drain(DEADLINE_S)
    assert await replica.done() == ["a", "b"]
    assert await replica.count(replica.database.messaging.outbox) == 0
    assert len(replica.published) == len(set(replica.published)) == 4


async def test_each_row_is_known_by_the_number_that_it_has(owner: Owner) -> None:
    """Else what was confirmed would delete what was not. More rows than one statement takes."""
    replica = await owner.replica()
    tables = replica.database.messaging
    messages = [Outgoing("", "q", b"{}", f"m{n}", "done.v1") for n in range(400)]
    async with replica.database.unit() as unit:
        stored = await store(unit.connection, tables, messages)
    async with replica.database.read() as connection:
        kept = await load_rows(connection, tables, datetime.now(UTC))
    assert [row.message.message_id for row in stored] == [f"m{n}" for n in range(400)]
    assert kept == stored


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


async def test_replicas_leave_each_others_fresh_rows_alone_and_take_the_old_ones(scaled_owner: Owner) -> None:
    a, b = await scaled_owner.replica(1), await scaled_owner.replica(2)
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


async def test_two_replicas_handle_a_message_once(scaled_owner: Owner) -> None:
    a, b = await scaled_owner.replica(1), await scaled_owner.replica(2)
    for n in range(10):
        results = await asyncio.gather(
            a.apply(a.doing(f"{n}"), f"m{n}"), b.apply(b.doing(f"{n}"), f"m{n}"), return_exceptions=True
        )
        assert all(result is None or isinstance(result, Retryable) for result in results)
    assert sorted(await a.done()) == [f"{n}" for n in range(10)]


async def test_two_that_change_the_same_row_lose_no_update(owner: Owner) -> None:
    replica = await owner.replica()
    await count_up(owner, [replica], times=10)


async def test_two_replicas_that_change_the_same_row_lose_no_update(scaled_owner: Owner) -> None:
    await count_up(scaled_owner, [await scaled_owner.replica(n) for n in (1, 2)], times=5)


async def count_up(owner: Owner, replicas: list[Replica], *, times: int) -> None:
    """Each reads a number and writes one more, all at once; whoever is refused tries again, as a delivery does."""
    await replicas[0].apply(replicas[0].doing("0"))

    def one_more(replica: Replica) -> Work:
        async def work(unit: Unit) -> None:
            mine = select(replica.effects.c.what).where(replica.effects.c.id == 1).with_for_update()
            now = int((await unit.connection.execute(mine)).scalar_one())
            await asyncio.sleep(0)
            await unit.connection.execute(update(replica.effects).values(what=str(now + 1)))

        return work

    async def until_done(replica: Replica) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                try:
                    return await replica.apply(one_more(replica))
                except Retryable:
                    await asyncio.sleep(0)

    async def in_the_background(replica: Replica) -> None:
        async with replica.database.unit() as unit:
            await one_more(replica)(unit)

    works = [work(replica) for replica in replicas for work in (until_done, in_the_background) for _ in range(times)]
    await asyncio.gather(*works)
    assert await replicas[0].done() == [str(2 * times * len(replicas))]


async def test_nobody_sees_what_is_not_committed(owner: Owner) -> None:
    replica = await owner.replica()
    await seen_by(replica, replica)


async def test_no_other_replica_sees_what_is_not_committed(scaled_owner: Owner) -> None:
    await seen_by(await scaled_owner.replica(1), await scaled_owner.replica(2))


async def seen_by(writer: Replica, reader: Replica) -> None:
    """A transaction is open when somebody reads: they read what was before, at once or when it has ended."""
    written, go_on = asyncio.Event(), asyncio.Event()

    async def change_my_mind() -> None:
        async with writer.database.unit() as unit:
            await writer.doing("never")(unit)
            written.set()
            await go_on.wait()
            raise ValueError("changed my mind")

    writing = asyncio.create_task(change_my_mind())
    await asyncio.wait_for(written.wait(), DEADLINE_S)
    reading = asyncio.create_task(reader.done())
    await asyncio.wait({reading}, timeout=0.05)
    go_on.set()
    with pytest.raises(ValueError, match="changed my mind"):
        await asyncio.wait_for(writing, DEADLINE_S)
    assert await asyncio.wait_for(reading, DEADLINE_S) == []
    await writer.apply(writer.doing("done"))
    assert await reader.done() == ["done"]
