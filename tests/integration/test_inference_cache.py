"""Equal deterministic requests of many calls: asked once, counted at the model server, over replicas and deaths."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select

from services.inference.cache import Cache
from services.inference.tables import generations
from shared.contracts.generation import Generate, Generated
from shared.contracts.tokens import ShowTokens
from shared.messaging.envelope import Envelope
from shared.testing.stub_ollama import StubOllama
from tests.integration.inference_replica import Mesh, _now, fresh, mesh, postgres, url
from tests.integration.test_inference_slots import answered_by_any, hosts
from tests.integration.waiting import wait_until

__all__ = ["postgres", "url"]
ENGINE = "ollama/stub"


def equal(**changes: object) -> Generate:
    """Of a goal of its own, in the same words as all others."""
    return fresh(engine=ENGINE, temperature=0.0, **changes)


async def answers(one: Mesh, asked: Sequence[str]) -> list[Generated]:
    return [await one.postbox.reply(message_id) for message_id in asked]


async def test_a_thousand_equal_prompts_are_one_call(url: str) -> None:
    async with StubOllama.listening(latency_s=0.3) as stub, mesh(url, engines=hosts(stub, slots=4)) as one:
        asked = await asyncio.gather(*(one.ask(equal()) for _ in range(1000)))
        async with asyncio.timeout(120):
            while len({o.headers.get("causation_id") for o in one.postbox.sent} & set(asked)) < 1000:
                async with one.postbox.changed:
                    await one.postbox.changed.wait()
        given = [one.postbox.replies(message_id) for message_id in asked]
    assert len(stub.calls) == 1
    assert {len(each) for each in given} == {1}
    assert len({each[0].text for each in given}) == 1
    assert len({each[0].call.goal_id for each in given}) == 1000, "each has its own key"
    assert sorted(each[0].cached for each in given) == [False] + [True] * 999
    assert sorted(each[0].shared for each in given) == [False] + [True] * 999, "paid for by one of them only"


@pytest.mark.docker
async def test_over_two_replicas_it_is_one_call(postgres: str) -> None:
    async with (
        StubOllama.listening(latency_s=0.2) as stub,
        mesh(postgres, name="inference-1", engines=hosts(stub, slots=2)) as one,
        mesh(postgres, name="inference-2", engines=hosts(stub, slots=2)) as two,
    ):
        words = f"What is {uuid4()}?"
        each = [one, two] * 20
        asked = await asyncio.gather(*(on.ask(fresh(question=words, engine=ENGINE, temperature=0.0)) for on in each))
        await asyncio.gather(*(answered_by_any((one, two), message_id) for message_id in asked))
    assert len(stub.calls) == 1


async def test_what_differs_is_asked(url: str) -> None:
    async with StubOllama.listening() as stub, mesh(url, engines=hosts(stub, slots=2)) as one:
        await answers(one, [await one.ask(equal())])
        different = [
            equal(seed=4),
            equal(max_tokens=99),
            equal(question="Why?"),
            equal(fresh=True),
            fresh(engine=ENGINE),
        ]
        await answers(one, [await one.ask(request) for request in different])
        assert len(stub.calls) == 1 + len(different)
        await answers(one, [await one.ask(equal(seed=4))])
        assert len(stub.calls) == 1 + len(different)


async def test_above_temperature_0_a_seed_is_asked_once_and_none_each_time(url: str) -> None:
    async with StubOllama.listening() as stub, mesh(url, engines=hosts(stub, slots=2)) as one:
        for calls, seed in ((1, 4), (1, 4), (2, 0), (3, 0)):
            await answers(one, [await one.ask(fresh(question="Why?", engine=ENGINE, temperature=0.7, seed=seed))])
            assert len(stub.calls) == calls


async def test_an_answer_serves_for_its_time_and_among_the_newest_only(url: str) -> None:
    async with StubOllama.listening() as stub, mesh(url, engines=hosts(stub)) as one:
        for words in ("first", "second", "third"):
            await answers(one, [await one.ask(equal(question=words))])
        async with one.database.unit() as unit:
            await Cache(timedelta(days=1), 2).trim(unit.connection, _now())
            query = select(generations.c.id).where(generations.c.share.is_not(None))
            assert len((await unit.connection.execute(query)).all()) == 2
        await answers(one, [await one.ask(equal(question=words)) for words in ("second", "third")])
        assert len(stub.calls) == 3
        await answers(one, [await one.ask(equal(question="first"))])
        assert len(stub.calls) == 4
        one.calls.cache = Cache(timedelta(0), 10)
        await answers(one, [await one.ask(equal(question="first"))])
        assert len(stub.calls) == 5, "turned off"


async def test_a_failed_call_is_nobody_elses_answer(url: str) -> None:
    async with StubOllama.listening(refusing=(500, "broken")) as stub, mesh(url, engines=hosts(stub)) as one:
        (failed,) = await answers(one, [await one.ask(equal())])
        assert failed.finish == "failed"
        stub.refusing = None
        (done,) = await answers(one, [await one.ask(equal())])
        assert (done.finish, done.cached) == ("stop", False)


@pytest.mark.parametrize("named", [ENGINE, "auto"])
async def test_a_cancelled_goal_takes_no_answer_from_another(url: str, named: str) -> None:
    async with StubOllama.listening(latency_s=0.5) as stub:
        engines = hosts(stub)
        engines.configured = ENGINE
        async with mesh(url, engines=engines) as one:
            first, second = equal(), fresh(engine=named, temperature=0.0)
            await one.ask(first)
            await asyncio.to_thread(wait_until, lambda: bool(stub.calls), deadline_s=20, what="the model is asked")
            asked = await one.ask(second)
            await one.calls.stop_goal(first.call.goal_id)
            (given,) = await answers(one, [asked])
    assert given.finish == "stop"
    assert len(stub.calls) == 1, "it was not broken off: somebody else waits for it"


async def test_of_a_dead_owner_one_other_makes_it_again(url: str) -> None:
    async with StubOllama.listening() as stub:
        async with mesh(url, run=False, name="inference-dead") as dead:
            asked = [await dead.ask(equal()) for _ in range(3)]
            async with dead.database.unit() as unit:
                row = (await dead.calls.ledger.waiting(unit.connection))[0]
                until = _now() + timedelta(seconds=1)
                claimed = await dead.calls.ledger.claim(
                    unit.connection, row.id, owner="inference-dead", until=until, host=stub.url, engine=ENGINE
                )
                assert claimed
                assert await dead.calls.ledger.waiting(unit.connection) == [], "the others wait for it"
        async with mesh(url, name="inference-2", engines=hosts(stub, slots=3)) as one:
            given = await answers(one, asked)
    assert len(stub.calls) == 1
    assert {answer.finish for answer in given} == {"stop"}


async def test_what_it_saved_is_told(url: str) -> None:
    async with StubOllama.listening() as stub, mesh(url, engines=hosts(stub)) as one:
        await answers(one, [await one.ask(equal())])
        again = equal()
        await answers(one, [await one.ask(again)])
        shown = await one.inference.on_show_tokens(ShowTokens(goal_id=again.call.goal_id), Envelope(message_id="m"))
    (cost,) = shown.calls
    assert (cost.cache, cost.earlier, cost.spent) == (True, False, 0)
    assert cost.saved == cost.tokens_in + cost.tokens_out > 0
