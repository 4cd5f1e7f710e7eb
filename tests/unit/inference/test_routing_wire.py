"""Clients of model servers over real sockets: what is asked of one server goes to no other, nor does its key."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from services.inference.generation import EngineFailed
from services.inference.ollama_client import OllamaHost
from services.inference.openai_client import OpenAIHost
from shared.testing.stub_openai import StubOpenAI
from tests.unit.inference.requests import generate
from tests.unit.inference.stub_ollama import StubOllama

RESTRICTED = generate(sensitivity="restricted")


@asynccontextmanager
async def serving(answer: Callable[[str], bytes]) -> AsyncIterator[str]:
    """A server that answers the head of each request; all its connections end with the block."""
    open_now: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_now.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            writer.write(answer((await reader.readuntil(b"\r\n\r\n")).decode()))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in open_now:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def elsewhere(to: str, *, but: str = "none") -> contextlib.AbstractAsyncContextManager[str]:
    """A server that sends everybody on to another; not those who ask for the path `but`, who get an empty object."""

    def answer(head: str) -> bytes:
        path = head.split(" ")[1]
        status = "200 OK" if path == but else f"307 Temporary Redirect\r\nLocation: {to}{path}"
        return f"HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}".encode()

    return serving(answer)


async def test_an_ollama_that_redirects_is_not_followed() -> None:
    async with StubOllama().serving() as gateway, elsewhere(gateway.url, but="/api/show") as url:
        host = OllamaHost(url, local=True)
        with pytest.raises(EngineFailed) as failed:
            await host.chat("gemma3:4b", RESTRICTED, lambda _: None)
        with pytest.raises(EngineFailed):
            await host.embed("gemma3:4b", ["secret"], "restricted")
        assert (await host.probe()).error
        await host.close()
    assert failed.value.kind == "broken"
    assert gateway.requests == []


async def test_nor_is_one_that_redirects_the_question_whether_it_passes_on() -> None:
    async with StubOllama().serving() as gateway, elsewhere(gateway.url) as url:
        with pytest.raises(EngineFailed):
            await OllamaHost(url, local=True).chat("gemma3:4b", RESTRICTED, lambda _: None)
    assert gateway.requests == []


async def test_an_openai_compatible_server_that_redirects_is_not_followed() -> None:
    async with StubOpenAI.listening() as gateway, elsewhere(gateway.url) as url:
        host = OpenAIHost(url, "secret", local=True)
        with pytest.raises(EngineFailed):
            await host.chat("stub-8b", RESTRICTED, lambda _: None)
        with pytest.raises(EngineFailed):
            await host.embed("stub-8b", ["secret"], "restricted")
        assert (await host.probe()).error
        await host.close()
    assert (gateway.calls, gateway.keys) == ([], [])


async def test_no_proxy_of_the_environment_hears_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with StubOllama().serving() as proxy, StubOllama().serving() as one, StubOpenAI.listening() as other:
        for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        hosts = OllamaHost(one.url, local=True), OpenAIHost(other.url, local=True)
        for host, model in zip(hosts, ("gemma3:4b", "stub-8b"), strict=True):
            assert (await host.probe()).error is None
            assert (await host.chat(model, RESTRICTED, lambda _: None)).finish == "stop"
            await host.close()
    assert proxy.requests == []


@pytest.mark.parametrize(
    ("model", "said"),
    [("gemma3:4b", {"remote_host": "https://ollama.com:443", "remote_model": "big"}), ("big:120b-cloud", {})],
)
async def test_an_ollama_that_passes_on_is_not_asked(model: str, said: dict[str, str]) -> None:
    """Ollama's cloud models are listed by a local Ollama like its own, and may be copied to any name."""
    stub = StubOllama(models={model: ("8B", ("completion", "embedding"))}, elsewhere=said)
    async with stub.serving():
        host = OllamaHost(stub.url, local=True)
        for asked in (host.chat(model, RESTRICTED, lambda _: None), host.embed(model, ["secret"], "restricted")):
            with pytest.raises(EngineFailed, match="use a model that it runs itself") as failed:
                await asked
            assert failed.value.kind == "restricted"
        assert {path for path, _ in stub.requests} == {"/api/show"}
        assert (await host.chat(model, generate(), lambda _: None)).finish == "stop"
        await host.close()


async def test_each_server_gets_its_own_key() -> None:
    async with StubOpenAI.listening(key="one") as one, StubOpenAI.listening(key="other") as other:
        for stub, key in ((one, "one"), (other, "other")):
            host = OpenAIHost(stub.url, key)
            assert (await host.probe()).error is None
            await host.chat("stub-8b", generate(), lambda _: None)
            await host.close()
        free = OpenAIHost(other.url)
        with pytest.raises(EngineFailed, match="does not accept the key") as failed:
            await free.chat("stub-8b", generate(), lambda _: None)
        await free.close()
    assert failed.value.kind == "denied"
    assert (set(one.keys), set(other.keys)) == ({"one"}, {"other", "none"})


async def test_a_server_whose_key_is_not_there_is_not_asked() -> None:
    async with StubOpenAI.listening() as stub:
        seen = await OpenAIHost(stub.url, None).probe()
    assert "the variable that infra/routing.toml names for its key is not set" in (seen.error or "")
    assert stub.keys == []


@pytest.mark.parametrize(("key", "sent"), [("", None), ("its own", "Bearer its own")])
async def test_an_ollama_gets_the_key_of_its_own_entry_and_never_the_librarys(
    monkeypatch: pytest.MonkeyPatch, key: str, sent: str | None
) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", "of another host")
    heads: list[str] = []

    def answer(head: str) -> bytes:
        heads.append(head.lower())
        return b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\n{"models":[]}'

    async with serving(answer) as url:
        host = OllamaHost(url, api_key=key)
        assert (await host.probe()).error is None
        await host.close()
    found = [line for head in heads for line in head.split("\r\n") if line.startswith("authorization:")]
    assert len(heads) >= 2
    assert found == ([f"authorization: {sent.lower()}"] * len(heads) if sent else [])


async def test_an_ollama_whose_variable_is_not_set_is_not_asked() -> None:
    host = OllamaHost("http://127.0.0.1:9", api_key=None)
    assert "for its key is not set" in str((await host.probe()).error)
