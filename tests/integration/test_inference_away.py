"""The only host of a named engine dies: its calls wait for it, within their limits. Counted at the hosts."""

import asyncio
import time
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from services.inference.away import Away
from services.inference.breaker import Breakers
from services.inference.engines import Engines
from services.inference.ollama_client import OllamaHost
from services.inference.scripted import Script
from shared.contracts.generation import DescribeEngine
from shared.contracts.goals import StepProgress
from shared.messaging.envelope import Envelope
from shared.testing.stub_ollama import StubOllama
from tests.integration.inference_replica import Mesh, _now, fresh, mesh, postgres, url
from tests.integration.waiting import wait_until

__all__ = ["postgres", "url"]
NAMED = "ollama/stub"


def engines(url: str, *, longest: timedelta = timedelta(minutes=5), **settings: Any) -> Engines:
    """Breakers are twenty times as fast here."""
    fast = Breakers(lambda: 20 * time.monotonic())
    host = OllamaHost(url, first_token=timedelta(seconds=settings.pop("first_token_s", 60)))
    return Engines([host], Script(None), breakers=fast, away=Away(longest), fresh_s=0.1, **settings)


async def true(what: Any, why: str) -> None:
    await asyncio.to_thread(wait_until, what, deadline_s=20, what=why)


def said(one: Mesh) -> list[str]:
    return [sign.text for sign in one.signs.said if isinstance(sign, StepProgress)]


async def test_a_call_is_made_again_when_its_only_host_is_back_and_so_is_what_came_meanwhile(url: str) -> None:
    async with AsyncExitStack() as stack:
        dying = await stack.enter_async_context(StubOllama.listening(latency_s=60))
        async with mesh(url, engines=engines(dying.url)) as one:
            asked = await one.ask(fresh(engine=NAMED))
            await true(lambda: dying.open == 1, "the call is at the host")
            await stack.aclose()
            await true(lambda: any(f"waiting for {dying.url} since" in text for text in said(one)), "it says so")
            later = [await one.ask(fresh(engine=NAMED)) for _ in range(2)]
            await true(lambda: len(one.calls.held.calls) == 3, "all wait")
            described = await one.inference.on_describe_engine(DescribeEngine(engine=NAMED), Envelope(message_id="m"))
            assert described.usable, "a goal that begins now is not refused"
            assert "waiting for" in (described.reason or "")
            port = urlsplit(dying.url).port
            async with StubOllama.listening(port=port) as back:
                answers = [await one.postbox.reply(message_id) for message_id in (asked, *later)]
    assert [(answer.finish, answer.engine) for answer in answers] == [("stop", NAMED)] * 3
    assert (len(dying.calls), len(back.calls)) == (1, 3)


async def test_it_is_waited_for_within_limits_and_then_fails_with_what_is_wrong(url: str) -> None:
    async with AsyncExitStack() as stack:
        dying = await stack.enter_async_context(StubOllama.listening(latency_s=60))
        async with mesh(url, engines=engines(dying.url, longest=timedelta(seconds=1))) as one:
            asked = await one.ask(fresh(engine=NAMED))
            await true(lambda: dying.open == 1, "the call is at the host")
            await stack.aclose()
            answer = await one.postbox.reply(asked)
    assert (answer.finish, answer.error_kind) == ("failed", "refused")
    assert f"{dying.url} refused" in (answer.error or "")
    assert len(dying.calls) == 1


async def test_its_deadline_ends_the_wait(url: str) -> None:
    async with AsyncExitStack() as stack:
        dying = await stack.enter_async_context(StubOllama.listening(latency_s=60))
        async with mesh(url, engines=engines(dying.url)) as one:
            asked = await one.ask(fresh(engine=NAMED, deadline_at=_now() + timedelta(seconds=4)))
            await true(lambda: dying.open == 1, "the call is at the host")
            await stack.aclose()
            await true(lambda: one.calls.held.calls, "it waits")
            assert (await one.postbox.reply(asked)).finish == "failed"
            assert not one.calls.held.calls
    assert len(dying.calls) == 1


async def test_it_is_made_again_once_and_no_more(url: str) -> None:
    async with AsyncExitStack() as stack, AsyncExitStack() as again:
        dying = await stack.enter_async_context(StubOllama.listening(latency_s=60))
        async with mesh(url, engines=engines(dying.url)) as one:
            asked = await one.ask(fresh(engine=NAMED))
            await true(lambda: dying.open == 1, "the call is at the host")
            await stack.aclose()
            back = StubOllama.listening(port=urlsplit(dying.url).port, latency_s=60)
            second = await again.enter_async_context(back)
            await true(lambda: second.open == 1, "the call is there again")
            await again.aclose()
            answer = await one.postbox.reply(asked)
    assert (answer.finish, answer.error_kind) == ("failed", "broken")
    assert (len(dying.calls), len(second.calls)) == (1, 1)


async def test_auto_does_not_wait_and_quotes(url: str) -> None:
    async with AsyncExitStack() as stack:
        dying = await stack.enter_async_context(StubOllama.listening(latency_s=60))
        async with mesh(url, engines=engines(dying.url, configured=NAMED)) as one:
            asked = await one.ask(fresh(engine="auto"))
            await true(lambda: dying.open == 1, "the call is at the host")
            await stack.aclose()
            answer = await one.postbox.reply(asked)
    assert (answer.finish, answer.engine) == ("stop", "extractive")


async def test_a_host_that_is_there_but_silent_is_not_asked_again(url: str) -> None:
    async with AsyncExitStack() as stack:
        slow = await stack.enter_async_context(StubOllama.listening(latency_s=60))
        one = await stack.enter_async_context(mesh(url, engines=engines(slow.url, first_token_s=0.3)))
        answer = await one.postbox.reply(await one.ask(fresh(engine=NAMED)))
    assert (answer.finish, answer.error_kind) == ("failed", "silent")
    assert len(slow.calls) == 1


async def test_after_a_restart_of_all_a_host_that_has_answered_before_is_waited_for(url: str) -> None:
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(StubOllama.listening())
        async with mesh(url, engines=engines(host.url)) as one:
            assert (await one.postbox.reply(await one.ask(fresh(engine=NAMED)))).finish == "stop"
        await stack.aclose()
        async with mesh(url, name="inference-2", engines=engines(host.url)) as two:
            asked = await two.ask(fresh(engine=NAMED))
            await true(lambda: two.calls.held.calls, "it waits for a host that this process has not seen")
            never = await two.postbox.reply(await two.ask(fresh(engine="ollama/nobody-has-it")))
            async with StubOllama.listening(port=urlsplit(host.url).port) as back:
                answer = await two.postbox.reply(asked)
    assert (answer.finish, never.finish) == ("stop", "failed")
    assert len(back.calls) == 1
