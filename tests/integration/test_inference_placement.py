"""Calls go where they are done first, and no model is loaded to and fro. Counted at the hosts."""

import asyncio

from services.inference.rates import Took
from shared.testing.stub_ollama import StubOllama
from tests.integration.inference_replica import Mesh, fresh, mesh, postgres, url
from tests.integration.test_inference_slots import hosts, most_at_once

__all__ = ["postgres", "url"]
WORDS = [f"word{n} " for n in range(10)]


def knows(one: Mesh, stub: StubOllama, *, model: str = "stub", rate: float) -> None:
    """What was measured before."""
    for _ in range(3):
        one.calls.engines.rates.note(stub.url, model, Took(10, 10, 0.01, 0.01 + 9 / rate))


async def test_a_slower_host_is_left_alone_while_waiting_for_the_faster_one_is_sooner(url: str) -> None:
    async with (
        StubOllama.listening(words=WORDS) as fast,
        StubOllama.listening(words=WORDS) as slow,
        mesh(url, engines=hosts(slow, fast)) as one,
    ):
        knows(one, fast, rate=20)
        knows(one, slow, rate=0.05)
        asked = [await one.ask(fresh(engine="ollama/stub", max_tokens=10)) for _ in range(6)]
        answers = [await one.postbox.reply(each) for each in asked]
    assert {answer.finish for answer in answers} == {"stop"}
    assert (len(fast.calls), len(slow.calls)) == (6, 0)
    assert most_at_once(fast) == 1


async def test_of_equally_fast_hosts_all_are_used(url: str) -> None:
    async with (
        StubOllama.listening(words=WORDS, token_s=0.05) as first,
        StubOllama.listening(words=WORDS, token_s=0.05) as second,
        mesh(url, engines=hosts(first, second)) as one,
    ):
        knows(one, first, rate=20)
        knows(one, second, rate=20)
        asked = [await one.ask(fresh(engine="ollama/stub", max_tokens=10)) for _ in range(6)]
        await asyncio.gather(*(one.postbox.reply(each) for each in asked))
    assert min(len(first.calls), len(second.calls)) >= 2
    assert max(most_at_once(first), most_at_once(second)) == 1


async def test_a_model_is_not_unloaded_while_calls_for_it_wait(url: str) -> None:
    """Two models take turns in the queue, and there is room for one."""
    both = StubOllama.listening(model="a", more={"b"}, unloaded={"a", "b"}, words=WORDS, room=1, load_s=0.1)
    async with both as stub, mesh(url, engines=hosts(stub), run=False) as one:
        asked = [await one.ask(fresh(engine=f"ollama/{model}", max_tokens=10)) for _ in range(5) for model in "ab"]
        work = asyncio.create_task(one.calls.run())
        answers = [await one.postbox.reply(each) for each in asked]
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    assert {answer.finish for answer in answers} == {"stop"}
    assert sorted(stub.loads) == ["a", "b"], "each was loaded once"
