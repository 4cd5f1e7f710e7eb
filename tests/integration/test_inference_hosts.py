"""Several model hosts: one that dies in the middle of a call costs no call its answer, and no goal waits for another's.
Calls are counted at the hosts."""

import asyncio
from contextlib import AsyncExitStack

from services.inference.engines import Engines
from services.inference.ollama_client import OllamaHost
from services.inference.scripted import Script
from shared.testing.stub_ollama import StubOllama
from tests.integration.inference_replica import fresh, mesh, postgres, url
from tests.integration.waiting import wait_until

__all__ = ["postgres", "url"]
NAMED = "ollama/stub"


def hosts(*stubs: StubOllama) -> Engines:
    return Engines([OllamaHost(stub.url) for stub in stubs], Script(None))


async def at_work(stub: StubOllama) -> None:
    await asyncio.to_thread(wait_until, lambda: stub.open == 1, deadline_s=20, what="the call is at the host")


async def test_a_call_whose_host_dies_is_answered_by_another_and_made_there_once(url: str) -> None:
    async with AsyncExitStack() as first, StubOllama.listening() as other:
        dying = await first.enter_async_context(StubOllama.listening(latency_s=60))
        async with mesh(url, engines=hosts(dying, other)) as one:
            asked = await one.ask(fresh(engine=NAMED))
            await at_work(dying)
            await first.aclose()
            answer = await one.postbox.reply(asked)
            assert (answer.finish, answer.engine, answer.error) == ("stop", NAMED, None)
            assert one.calls.engines.breakers.shunned(busy={}) == {dying.url}
            later = [await one.ask(fresh(engine=NAMED)) for _ in range(3)]
            assert [(await one.postbox.reply(each)).finish for each in later] == ["stop"] * 3
            assert len(one.postbox.replies(asked)) == 1
    assert (len(dying.calls), len(other.calls)) == (1, 4)


async def test_it_is_tried_elsewhere_once_and_fails_with_its_reason_then(url: str) -> None:
    async with AsyncExitStack() as first, AsyncExitStack() as second, StubOllama.listening() as third:
        one_host = await first.enter_async_context(StubOllama.listening(latency_s=60))
        next_host = await second.enter_async_context(StubOllama.listening(latency_s=60))
        async with mesh(url, engines=hosts(one_host, next_host, third)) as one:
            asked = await one.ask(fresh(engine=NAMED))
            await at_work(one_host)
            await first.aclose()
            await at_work(next_host)
            await second.aclose()
            answer = await one.postbox.reply(asked)
            assert (answer.finish, answer.error_kind) == ("failed", "broken")
            again = await one.ask(fresh(engine=NAMED))
            assert (await one.postbox.reply(again)).finish == "stop"
    assert [len(stub.calls) for stub in (one_host, next_host, third)] == [1, 1, 1]


async def test_a_goal_with_many_calls_hides_no_other_goal(url: str) -> None:
    async with mesh(url, run=False) as one:
        large = fresh()
        for n in range(12):
            key = large.call.model_copy(update={"ordinal": n})
            await one.ask(large.model_copy(update={"call": key, "priority": 5}))
        small = fresh(priority=1)
        await one.ask(small)
        async with one.database.read() as connection:
            seen = await one.calls.ledger.waiting(connection, limit=3)
    goals = [row.goal_id for row in seen]
    assert goals == [large.call.goal_id, small.call.goal_id, large.call.goal_id]
