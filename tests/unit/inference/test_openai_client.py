"""The client of OpenAI-compatible servers against a stub of one, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from services.inference.generation import EngineFailed, Host, choose_embedder, choose_engine
from services.inference.openai_client import OpenAIHost, held_by
from services.inference.openai_models import model_of, only_one_may_be_unsized, size_in
from shared.testing.stub_openai import StubOpenAI
from tests.unit.inference.requests import generate

WORDS = ["Queues ", "hold ", "messages [p1]."]


@pytest.fixture
async def stub() -> AsyncIterator[StubOpenAI]:
    async with StubOpenAI.listening(words=WORDS) as server:
        yield server


@pytest.fixture
async def host(stub: StubOpenAI) -> AsyncIterator[OpenAIHost]:
    client = OpenAIHost(stub.url, "k", between_tokens=timedelta(seconds=0.3), first_token=timedelta(seconds=10))
    yield client
    await client.close()


async def failure(host: OpenAIHost, model: str = "stub-8b") -> EngineFailed:
    with pytest.raises(EngineFailed) as failed:
        await host.chat(model, generate(), lambda _: None)
    return failed.value


async def test_a_chat_is_streamed_and_counted(stub: StubOpenAI, host: OpenAIHost) -> None:
    counted: list[int] = []
    answer = await host.chat("stub-8b", generate(max_tokens=99, seed=4, temperature=0.0), counted.append)
    assert (answer.text, answer.finish) == ("Queues hold messages [p1].", "stop")
    assert (answer.tokens_in, answer.tokens_out, counted) == (stub.calls[0].tokens_in, 3, [1, 2, 3])
    body = stub.bodies[-1]
    assert (body["max_tokens"], body["temperature"], body["seed"]) == (99, 0.0, 4)
    assert body["stream_options"] == {"include_usage": True}


async def test_a_schema_goes_along_and_is_strict_where_it_leaves_nothing_open(
    stub: StubOpenAI, host: OpenAIHost
) -> None:
    inner = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    await host.chat("stub-8b", generate(output_schema=inner), lambda _: None)
    await host.chat("stub-8b", generate(output_schema={**inner, "additionalProperties": False}), lambda _: None)
    sent = [body["response_format"]["json_schema"] for body in stub.bodies]
    assert sent[0]["schema"] == inner
    assert [each["strict"] for each in sent] == [False, True]


async def test_a_server_that_cannot_hold_a_shape_answers_without(stub: StubOpenAI, host: OpenAIHost) -> None:
    stub.unknown = ("response_format",)
    for _ in range(2):
        assert (await host.chat("stub-8b", generate(output_schema={"type": "object"}), lambda _: None)).finish == "stop"
    assert ["response_format" in body for body in stub.bodies] == [False, False]


async def test_thinking_is_kept_apart_and_stray_thinking_is_dropped(stub: StubOpenAI, host: OpenAIHost) -> None:
    stub.thinking, stub.words = ("Let me ", "see."), ["Hm.", "</think>", "Yes [p1]."]
    answer = await host.chat("stub-8b", generate(), lambda _: None)
    assert (answer.thinking, answer.text) == ("Let me see.", "Yes [p1].")


async def test_a_stream_that_repeats_itself_is_cut_and_the_connection_closed(
    stub: StubOpenAI, host: OpenAIHost
) -> None:
    stub.words, stub.token_s = ["The broker ", "keeps ", "the message. "] * 10_000, 0.001
    answer = await host.chat("stub-8b", generate(max_tokens=8000), lambda _: None)
    assert (answer.finish, answer.text.count("keeps")) == ("length", 1)
    assert answer.tokens_in > 0  # guessed: a stream that is cut does not come to its usage
    async with asyncio.timeout(10):
        while stub.open:
            await asyncio.wait([asyncio.ensure_future(host.probe())])
    assert not stub.calls[0].finished


async def test_silence_between_tokens_ends_the_call(stub: StubOpenAI, host: OpenAIHost) -> None:
    stub.token_s = 30.0
    error = await failure(host)
    assert (error.kind, "said nothing" in error.reason) == ("silent", True)


async def test_a_stream_that_breaks_off_is_a_failure(stub: StubOpenAI, host: OpenAIHost) -> None:
    stub.breaks_off = True
    assert (await failure(host)).kind == "broken"


async def test_a_key_goes_along_and_a_wrong_one_is_said(stub: StubOpenAI, host: OpenAIHost) -> None:
    stub.key = "k"
    assert (await host.chat("stub-8b", generate(), lambda _: None)).finish == "stop"
    stub.key = "another"
    error = await failure(host)
    assert (error.kind, "WARREN_OPENAI_API_KEY" in error.reason) == ("denied", True)
    assert "WARREN_OPENAI_API_KEY" in ((await host.probe()).error or "")


@pytest.mark.parametrize(
    ("status", "said", "kind", "advice"),
    [
        (429, {"message": "Rate limit reached"}, "busy", "try again in 7 s"),
        (503, {"message": "Loading model", "type": "unavailable_error"}, "busy", "is loading its model"),
        (429, {"message": "You exceeded your current quota"}, "busy", "has nothing left"),
        (400, {"message": "too big", "code": "context_length_exceeded"}, "too_long", "fewer passages"),
        (400, {"message": "exceeds the available context size"}, "too_long", "fewer passages"),
        (404, {"message": "The model does not exist"}, "missing", "does not have stub-8b"),
        (500, {"message": "failed to allocate memory"}, "memory", "smaller model"),
        (501, {"message": "This server does not support embeddings"}, "unsupported", "WARREN_MODEL"),
        (500, {"message": "boom"}, "broken", "boom"),
    ],
)
async def test_each_refusal_says_what_to_do(
    stub: StubOpenAI, host: OpenAIHost, *, status: int, said: dict[str, Any], kind: str, advice: str
) -> None:
    stub.refusing, stub.retry_after = (status, said), "7"
    error = await failure(host)
    assert error.kind == kind
    assert advice in error.reason


async def test_a_parameter_that_the_server_does_not_know_is_left_out(stub: StubOpenAI, host: OpenAIHost) -> None:
    stub.unknown = ("max_tokens", "temperature")
    for _ in range(2):
        assert (await host.chat("stub-8b", generate(max_tokens=9), lambda _: None)).finish == "stop"
    assert [body["max_completion_tokens"] for body in stub.bodies] == [9, 9]
    assert "temperature" not in stub.bodies[0]


async def test_a_prompt_that_does_not_fit_is_refused_before_it_is_sent(stub: StubOpenAI, host: OpenAIHost) -> None:
    with pytest.raises(EngineFailed, match="do not fit 8192"):
        await host.chat("stub-8b", generate("word " * 8000), lambda _: None)
    assert stub.calls == []


async def test_nobody_there_is_told_apart(unused_tcp_port: int) -> None:
    host = OpenAIHost(f"http://127.0.0.1:{unused_tcp_port}")
    assert (await failure(host)).kind == "refused"
    seen = await host.probe()
    assert "is the server running" in (seen.error or "")
    described = choose_engine("auto", configured="", hosts=[seen])
    assert (described.engine, described.reason) == ("extractive", f"no model: {seen.error}")
    await host.close()


async def test_embeddings_come_in_order(host: OpenAIHost) -> None:
    assert await host.embed("stub-8b", ["a", "bbb"]) == [(1.0, 1.0), (3.0, 1.0)]


async def test_what_it_has_is_listed(stub: StubOpenAI, host: OpenAIHost) -> None:
    listed = await held_by(host)
    assert (listed.url, [(m.name, m.parameters, m.chats) for m in listed.models]) == (
        stub.url,
        [("stub-8b", "8B", True)],
    )


async def test_cancelling_closes_the_connection(stub: StubOpenAI, host: OpenAIHost) -> None:
    stub.words, stub.token_s = ["go "] * 1000, 0.05
    started = asyncio.Event()
    call = asyncio.create_task(host.chat("stub-8b", generate(), lambda _: started.set()))
    async with asyncio.timeout(10):
        await started.wait()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        while stub.open:
            await asyncio.wait([asyncio.ensure_future(host.probe())])
    assert not stub.calls[0].finished


def test_sizes_stand_in_names() -> None:
    assert size_in("Qwen/Qwen2.5-7B-Instruct") == 7e9
    assert size_in("gemma-3-270m-it") == 2.7e8
    assert size_in("gpt-4o") == 0
    assert model_of("x", {"meta": {"n_params": 268098176}}).parameters == 268098176
    assert not model_of("text-embedding-3-small", {}).chats
    assert not model_of("whisper-1", {}).chats


def test_auto_takes_ollama_first_then_an_openai_server_and_no_model_by_chance() -> None:
    ours = Host("http://a", (model_of("m-8b", {}),), provider="openai")
    ollama = Host("http://b", (model_of("n-8b", {}),))
    assert choose_engine("auto", configured="", hosts=[ours, ollama]).engine == "ollama/n-8b"
    assert choose_engine("auto", configured="", hosts=[ours]).engine == "openai/m-8b"
    named = choose_engine("openai/m-8b", configured="", hosts=[ours, ollama])
    assert (named.provider, named.url, named.lane) == ("openai", "http://a", "http://a")
    cloud = Host("https://c", only_one_may_be_unsized([model_of("dear", {}), model_of("cheap", {})]), provider="openai")
    choice = choose_engine("auto", configured="", hosts=[cloud])
    assert "name one, WARREN_MODEL=openai/dear" in (choice.reason or "")
    assert choose_engine("auto", configured="openai/cheap", hosts=[cloud]).engine == "openai/cheap"
    missing = choose_engine("openai/gone", configured="", hosts=[cloud])
    assert missing.reason == "https://c does not have gone: name one that it lists (dear, cheap)"
    assert choose_engine("openai/x", configured="", hosts=[ollama]).reason == "WARREN_OPENAI_URLS names no host"


def test_an_embedder_may_be_named_with_its_provider() -> None:
    hosts = [
        Host("http://a", (model_of("bge-m3", {}),)),
        Host("http://b", (model_of("bge-m3", {}),), provider="openai"),
    ]
    found = choose_embedder(hosts, "openai/bge-m3")
    assert found is not None
    assert found[0].url == "http://b"
