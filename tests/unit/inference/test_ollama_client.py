"""The Ollama client against a stub of the native API, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from services.inference.generation import REFUSED, EngineFailed
from services.inference.ollama_client import OllamaHost
from tests.unit.inference.requests import generate
from tests.unit.inference.stub_ollama import StubOllama


@pytest.fixture
async def stub() -> AsyncIterator[StubOllama]:
    async with StubOllama().serving() as server:
        yield server


@pytest.fixture
async def host(stub: StubOllama) -> AsyncIterator[OllamaHost]:
    client = OllamaHost(stub.url, first_token=timedelta(seconds=5), between_tokens=timedelta(seconds=0.2))
    yield client
    await client.close()


async def failure(host: OllamaHost) -> EngineFailed:
    with pytest.raises(EngineFailed) as failed:
        await host.chat("gemma3:4b", generate(), lambda _: None)
    return failed.value


async def test_a_chat_is_streamed_and_counted(stub: StubOllama, host: OllamaHost) -> None:
    counted: list[int] = []
    answer = await host.chat("gemma3:4b", generate(max_tokens=99, seed=4, temperature=0.0), counted.append)
    assert (answer.text, answer.finish) == ("Queues hold messages [p1].", "stop")
    assert (answer.tokens_in, answer.tokens_out, counted) == (20, 3, [1, 2, 3])
    _, body = stub.requests[-1]
    assert body["options"] == {"num_ctx": 8192, "num_predict": 99, "temperature": 0.0, "seed": 4}


async def test_a_schema_goes_along(stub: StubOllama, host: OllamaHost) -> None:
    await host.chat("gemma3:4b", generate(output_schema={"type": "object"}), lambda _: None)
    assert stub.requests[-1][1]["format"] == {"type": "object"}


async def test_what_is_cut_short_is_never_success(stub: StubOllama, host: OllamaHost) -> None:
    stub.then = "length"
    assert (await host.chat("gemma3:4b", generate(), lambda _: None)).finish == "length"


async def test_a_stream_that_repeats_itself_is_cut_and_the_connection_closed(
    stub: StubOllama, host: OllamaHost
) -> None:
    stub.pieces = ["The broker ", "keeps ", "the message. "] * 10_000
    answer = await host.chat("gemma3:4b", generate(), lambda _: None)
    assert answer.finish == "length"
    assert answer.text.count("keeps") == 1
    async with asyncio.timeout(10):
        await stub.cut_off.wait()


async def test_stray_thinking_is_dropped(stub: StubOllama, host: OllamaHost) -> None:
    stub.pieces = ["I wonder.", "</think>", "Yes [p1]."]
    assert (await host.chat("gemma3:4b", generate(), lambda _: None)).text == "Yes [p1]."


async def test_silence_between_tokens_ends_the_call(stub: StubOllama, host: OllamaHost) -> None:
    stub.pieces = ["Queues ", 30.0, "hold"]
    error = await failure(host)
    assert error.kind == "silent"
    assert "said nothing" in error.reason


async def test_slow_is_not_dead(stub: StubOllama, host: OllamaHost) -> None:
    stub.pieces = [0.5, "Queues ", *[0.1, "x"] * 5]
    assert (await host.chat("gemma3:4b", generate(), lambda _: None)).finish == "stop"


@pytest.mark.parametrize(
    ("status", "said", "kind", "advice"),
    [
        (404, "model 'x' not found", "missing", "`ollama pull gemma3:4b`"),
        (503, "server busy, please try again", "busy", "OLLAMA_MAX_QUEUE"),
        (500, "model requires more system memory (9 GiB)", "memory", "smaller model"),
        (400, '"x" does not support chat', "unsupported", "WARREN_MODEL"),
        (500, "boom", "broken", "boom"),
    ],
)
async def test_each_refusal_says_what_to_do(
    stub: StubOllama, host: OllamaHost, *, status: int, said: str, kind: str, advice: str
) -> None:
    stub.status, stub.error = status, said
    error = await failure(host)
    assert error.kind == kind
    assert advice in error.reason


@pytest.mark.parametrize("end", ["error", "nothing"])
async def test_a_stream_that_breaks_off_is_a_failure(stub: StubOllama, host: OllamaHost, end: str) -> None:
    stub.then = end
    assert (await failure(host)).kind == "broken"


async def test_a_prompt_that_does_not_fit_is_refused_before_it_is_cut(stub: StubOllama, host: OllamaHost) -> None:
    with pytest.raises(EngineFailed, match="do not fit 8192"):
        await host.chat("gemma3:4b", generate("word " * 8000), lambda _: None)
    assert stub.requests == []


async def test_nobody_there_is_told_apart(unused_tcp_port: int) -> None:
    host = OllamaHost(f"http://127.0.0.1:{unused_tcp_port}")
    assert (await failure(host)).reason == f"{host.url} refused: {REFUSED}"
    assert (await host.probe()).error == f"{host.url} refused: {REFUSED}"
    await host.close()


async def test_a_probe_tells_chat_from_embedding_models(stub: StubOllama, host: OllamaHost) -> None:
    stub.models = {"big": ("8.0B", ("completion", "tools")), "vec": ("22.6M", ("embedding",))}
    stub.loaded = ("big",)
    big, vec = (await host.probe()).models
    assert (big.parameters, big.chats, big.loaded, big.embeds) == (8e9, True, True, False)
    assert (vec.chats, vec.embeds) == (False, True)


async def test_embeddings_come_in_order(host: OllamaHost) -> None:
    assert await host.embed("vec", ["a", "bbb"]) == [(1.0, 1.0), (3.0, 1.0)]


async def test_cancelling_closes_the_connection(stub: StubOllama, host: OllamaHost) -> None:
    stub.pieces = ["go ", 0.05] * 1000
    started = asyncio.Event()
    call = asyncio.create_task(host.chat("gemma3:4b", generate(), lambda _: started.set()))
    async with asyncio.timeout(10):
        await started.wait()
        call.cancel()
        await stub.cut_off.wait()
