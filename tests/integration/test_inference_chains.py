"""Chains of engines: where one fails the next of its chain answers, and the result says so. Calls are counted at the
hosts."""

import asyncio

from services.inference.chains import Chain, Routes
from services.inference.engines import Engines
from services.inference.ollama_client import OllamaHost
from services.inference.openai_client import OpenAIHost
from services.inference.scripted import Script
from shared.testing.stub_ollama import StubOllama
from shared.testing.stub_openai import StubOpenAI
from tests.integration.inference_replica import fresh, mesh, postgres, url

__all__ = ["postgres", "url"]
GONE = "http://127.0.0.1:9"
BOTH = Routes(chains=(Chain("ollama/*", ("openai/stub-8b",)), Chain("openai/*", ("ollama/stub",))))


def engines(ollama: str, openai: str, routes: Routes = BOTH, *, local: bool = False, model: str = "") -> Engines:
    far = OpenAIHost(openai, local=local)
    return Engines([OllamaHost(ollama, local=True)], Script(None), [far], routes=routes, configured=model)


async def test_where_the_local_host_refuses_the_cloud_answers_once(url: str) -> None:
    async with StubOpenAI.listening() as cloud, mesh(url, engines=engines(GONE, cloud.url)) as one:
        answer = await one.postbox.reply(await one.ask(fresh(engine="ollama/stub")))
        assert (answer.finish, answer.engine) == ("stop", "openai/stub-8b")
        assert [(each.engine, each.kind) for each in answer.tried] == [("ollama/stub", "refused")]
        assert str(answer.engine_reason).startswith("ollama/stub failed (refused): ")
        assert len(cloud.calls) == 1


async def test_and_the_other_way_round(url: str) -> None:
    async with StubOllama.listening() as near, mesh(url, engines=engines(near.url, GONE)) as one:
        answer = await one.postbox.reply(await one.ask(fresh(engine="openai/stub-8b")))
        assert (answer.finish, answer.engine) == ("stop", "ollama/stub")
        assert [each.engine for each in answer.tried] == ["openai/stub-8b"]
        assert len(near.calls) == 1


async def test_what_is_restricted_does_not_follow_a_chain_into_the_cloud(url: str) -> None:
    async with StubOpenAI.listening() as cloud, mesh(url, engines=engines(GONE, cloud.url)) as one:
        answer = await one.postbox.reply(await one.ask(fresh(engine="ollama/stub", sensitivity="restricted")))
        assert answer.finish == "failed"
        assert cloud.calls == []


async def test_a_purpose_has_its_engine_and_auto_quotes_at_the_end_of_the_chain(url: str) -> None:
    routes = Routes({"research": "ollama/stub"}, (Chain("ollama/stub", ("openai/none",)),))
    async with (
        StubOllama.listening() as near,
        mesh(url, engines=engines(near.url, GONE, routes, model="extractive")) as one,
    ):
        answer = await one.postbox.reply(await one.ask(fresh(engine="auto")))
        assert (answer.engine, answer.tried) == ("ollama/stub", ())
    async with mesh(url, engines=engines(GONE, GONE, routes, model="extractive")) as one:
        answer = await one.postbox.reply(await one.ask(fresh(engine="auto", max_tokens=99)))
        assert (answer.engine, [each.engine for each in answer.tried]) == ("extractive", ["ollama/stub"])
        assert str(answer.engine_reason).startswith("no model: ")


async def test_a_call_whose_process_dies_in_mid_chain_goes_on_where_it_was(url: str) -> None:
    async with StubOllama.listening() as near, StubOpenAI.listening(latency_s=60) as cloud:
        routes = Routes(chains=(Chain("ollama/gone", ("openai/stub-8b",)),))
        async with mesh(url, engines=engines(near.url, cloud.url, routes)) as one:
            await one.ask(request := fresh(engine="ollama/gone"))
            async with asyncio.timeout(20):
                while not cloud.calls:  # the second engine is at it
                    await asyncio.sleep(0.01)
        near.model, cloud.latency_s = "gone", 0.0  # now the first could be had
        async with mesh(url, engines=engines(near.url, cloud.url, routes)) as one:
            answer = await one.postbox.reply(await one.ask(request))
            assert (answer.finish, answer.engine) == ("stop", "openai/stub-8b")
            assert [each.engine for each in answer.tried] == ["ollama/gone"]
    assert (len(near.calls), len(cloud.calls)) == (0, 2)


async def test_the_cache_gives_no_text_of_an_engine_to_a_call_that_no_chain_led_there(url: str) -> None:
    async with StubOllama.listening() as near, StubOpenAI.listening() as cloud:
        routes = Routes(chains=(Chain("ollama/gone", ("openai/stub-8b",)),))
        async with mesh(url, engines=engines(near.url, cloud.url, routes)) as one:
            by_chain = await one.postbox.reply(await one.ask(fresh(engine="ollama/gone", temperature=0.0)))
            named = await one.postbox.reply(await one.ask(fresh(engine="openai/stub-8b", temperature=0.0)))
            other = await one.postbox.reply(await one.ask(fresh(engine="ollama/stub", temperature=0.0)))
            again = await one.postbox.reply(await one.ask(fresh(engine="ollama/gone", temperature=0.0)))
    assert (by_chain.engine, len(by_chain.tried)) == ("openai/stub-8b", 1)
    assert (named.engine, named.cached, named.tried, named.engine_reason) == ("openai/stub-8b", True, (), None)
    assert (other.engine, other.cached) == ("ollama/stub", False)
    assert (again.engine, again.cached, again.tried) == ("openai/stub-8b", True, by_chain.tried)
    assert (len(near.calls), len(cloud.calls)) == (1, 1)
