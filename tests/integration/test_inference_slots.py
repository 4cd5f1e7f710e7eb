"""Slots of a host, counted at the host: never more in flight than there are, over all replicas, whoever dies."""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import MetaData, Table, text

from services.inference.breaker import Breakers
from services.inference.engines import Engines
from services.inference.generation import Choice
from services.inference.ollama_client import OllamaHost
from services.inference.scripted import Script
from services.inference.tables import MIGRATIONS, generations, savings, waiters
from shared.messaging.database import Database
from shared.messaging.publish import Stamp
from shared.testing.stub_ollama import StubOllama
from tests.integration.inference_replica import Mesh, _now, fresh, mesh, postgres, url
from tests.integration.waiting import wait_until

__all__ = ["postgres", "url"]
NEW = ("lane", "share", "used", "avoid", "sensitivity", "deadline_at", "max_tokens", "placed", "route", "tried")


def hosts(*stubs: StubOllama, slots: int = 1) -> Engines:
    """Breakers are fifty times as fast here, and hosts are looked at as often."""
    fast = Breakers(lambda: 50 * time.monotonic())
    return Engines([OllamaHost(stub.url) for stub in stubs], Script(None), slots=slots, breakers=fast, fresh_s=0.1)


def most_at_once(stub: StubOllama) -> int:
    """Calls that were in flight together, as the host saw it."""
    ends = sorted([(c.began, 1) for c in stub.calls] + [(c.ended or float("inf"), -1) for c in stub.calls])
    most = now = 0
    for _, change in ends:
        now += change
        most = max(most, now)
    return most


async def answered_by_any(replicas: Sequence[Mesh], message_id: str) -> None:
    waits = [asyncio.create_task(each.postbox.reply(message_id)) for each in replicas]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for task in waits:
        task.cancel()


@pytest.mark.docker
async def test_two_replicas_never_have_more_in_flight_than_slots(postgres: str) -> None:
    async with (
        StubOllama.listening(latency_s=0.03) as stub,
        mesh(postgres, name="inference-1", engines=hosts(stub, slots=2)) as one,
        mesh(postgres, name="inference-2", engines=hosts(stub, slots=2)) as two,
    ):
        asked = [await each.ask(fresh(step=f"s{n}")) for n in range(24) for each in (one, two)]
        await asyncio.gather(*(answered_by_any((one, two), message_id) for message_id in asked))
    assert most_at_once(stub) == 2
    assert len(stub.calls) == len(asked)
    assert all(call.finished for call in stub.calls)


@pytest.mark.docker
async def test_who_claims_at_the_same_moment_waits_and_then_sees_that_the_slot_is_taken(postgres: str) -> None:
    at = Choice("ollama", "ollama/stub", "http://host", "stub")
    async with (
        mesh(postgres, run=False, name="inference-1") as one,
        mesh(postgres, run=False, name="inference-2") as two,
    ):
        for n in range(2):
            await one.ask(fresh(step=f"s{n}"))
        async with one.database.unit() as unit:
            first, second = [row.id for row in await one.calls.ledger.waiting(unit.connection)][-2:]
            assert not await one.calls.ledger.lock_slots(unit.connection, [at.url])
            until = _now() + timedelta(minutes=1)
            assert await one.calls.ledger.claim(unit.connection, first, owner="inference-1", until=until, host=at.url)
            other = asyncio.create_task(two.calls._claim([(second, at)], {}))
            query = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            async with asyncio.timeout(20):
                while not other.done() and not (await unit.connection.execute(query)).scalar_one():
                    await asyncio.wait([other], timeout=0.02)
            assert not other.done()
        assert await other == []


async def test_the_slot_of_a_dead_owner_is_free_when_its_lease_ends(url: str) -> None:
    async with StubOllama.listening() as stub:
        async with mesh(url, run=False, name="inference-dead") as dead:
            asked = [await dead.ask(fresh(step=f"s{n}")) for n in range(2)]
            ledger = dead.calls.ledger
            async with dead.database.unit() as unit:
                held, _ = [row.id for row in await ledger.waiting(unit.connection)]
                until = _now() + timedelta(seconds=1)
                assert await ledger.claim(unit.connection, held, owner="inference-dead", until=until, host=stub.url)
        async with mesh(url, run=False, engines=hosts(stub)) as heir:
            await heir.calls.engines.look()
            assert not await heir.calls._fill()  # its lease still runs: it may be at the host
            assert stub.calls == []
            heir.calls.clock = lambda: _now() + timedelta(seconds=2)
            await heir.calls._keep_leases()
            assert await heir.calls._fill()
            tasks = [asyncio.create_task(heir.calls.run())]
            for message_id in asked:
                assert (await heir.postbox.reply(message_id)).finish == "stop"
            tasks[0].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    assert most_at_once(stub) == 1


async def test_a_call_that_another_took_over_is_broken_off(url: str) -> None:
    """This process stood still for longer than its lease, and goes on."""
    async with StubOllama.listening(latency_s=30) as stub:
        async with mesh(url, run=False, engines=hosts(stub)) as slow:
            await slow.calls.engines.look()
            await slow.ask(fresh())
            assert await slow.calls._fill()
            await asyncio.to_thread(wait_until, lambda: stub.open == 1, deadline_s=20, what="the call is at the host")
            (call,) = slow.calls.running.values()
            ledger = slow.calls.ledger
            async with slow.database.unit() as unit:
                assert await ledger.release(unit.connection, now=_now() + timedelta(minutes=1)) == 1
                taken = await ledger.claim(unit.connection, call.claim.id, owner="inference-2", until=_now())
            await slow.calls._keep_leases()
            await asyncio.to_thread(wait_until, lambda: stub.open == 0, deadline_s=20, what="the host is left alone")
        assert taken is not None
        assert not stub.calls[0].finished


async def test_calls_of_the_version_before_are_kept_and_run(url: str) -> None:
    old = MetaData()
    for table in (generations, waiters, savings):
        table.to_metadata(old)
    columns = [c for c in generations.columns if c.name not in NEW]
    before = Database(url, old, stamp=Stamp("inference", "old"))
    old.remove(old.tables["generations"])
    Table("generations", old, *(column._copy() for column in columns))
    await before.open(_nowhere)
    async with before.unit() as unit:
        names = "id, goal_id, hash, state, failed, priority, engine, since, attempt, request"
        values = {"request": (request := fresh(engine="extractive")).model_dump_json(), "now": _now()}
        for state in ("waiting", "done"):
            row = f"('{state}', '{request.call.goal_id}', 'h', '{state}', false, 3, 'extractive', :now, 0, :request)"
            await unit.connection.execute(text(f"INSERT INTO generations ({names}) VALUES {row}"), values)
    await before.close()
    async with mesh(url, run=False) as new, new.database.unit() as unit:
        (row,) = await new.calls.ledger.waiting(unit.connection)
        assert row.id == "waiting"
        assert await new.calls.ledger.claim(unit.connection, row.id, owner="inference-1", until=_now())
        versions = (await unit.connection.execute(text("SELECT version FROM schema_version"))).scalars().all()
    assert max(versions) == 1 + len(MIGRATIONS)


async def _nowhere(_: object) -> None:
    raise AssertionError("nothing is published here")
