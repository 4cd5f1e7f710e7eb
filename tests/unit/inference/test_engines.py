"""Engines as they come and go: a host that starts later is used, one that is gone is not."""

import pytest

from services.inference.engines import Engines
from services.inference.generation import EngineFailed
from services.inference.ollama_client import OllamaHost
from services.inference.scripted import Script
from tests.unit.inference.requests import generate
from tests.unit.inference.stub_ollama import StubOllama


def engines(*urls: str, configured: str = "", fresh_s: float = 0.0) -> Engines:
    return Engines([OllamaHost(url) for url in urls], Script(None), configured=configured, fresh_s=fresh_s)


async def test_a_host_that_starts_later_is_used(unused_tcp_port: int) -> None:
    mesh = engines(f"http://127.0.0.1:{unused_tcp_port}")
    await mesh.look()
    assert mesh.choose("auto").engine == "extractive"
    assert mesh.status["engine"] == "extractive"
    async with StubOllama().serving(unused_tcp_port):
        await mesh.look()
        assert mesh.choose("auto").engine == "ollama/gemma3:4b"
        assert mesh.choose("auto").reason is None
        answer = await mesh.ask(mesh.choose("auto"), generate(), lambda _: None)
    assert answer.text == "Queues hold messages [p1]."
    await mesh.close()


async def test_a_host_that_went_away_is_not_chosen_again() -> None:
    async with StubOllama().serving() as stub:
        mesh = engines(stub.url, fresh_s=60)
        await mesh.look()
        choice = mesh.choose("auto")
    with pytest.raises(EngineFailed, match="refused"):
        await mesh.ask(choice, generate(), lambda _: None)
    assert mesh.choose("auto").engine == "extractive"
    assert "refused" in (mesh.choose("auto").reason or "")
    await mesh.close()


async def test_what_was_seen_just_now_is_believed() -> None:
    async with StubOllama().serving() as stub:
        mesh = engines(stub.url, fresh_s=60)
        await mesh.look()
        asked = len(stub.requests)
        await mesh.look()
        assert len(stub.requests) == asked
        await mesh.close()


async def test_a_model_that_was_pulled_since_the_last_look_is_found() -> None:
    async with StubOllama().serving() as stub:
        mesh = engines(stub.url, fresh_s=60)
        assert not (await mesh.find("ollama/new:1b")).usable
        stub.models["new:1b"] = ("1B", ("completion",))
        assert (await mesh.find("ollama/new:1b")).usable
        await mesh.close()


async def test_the_second_host_takes_what_the_first_has_no_slot_for() -> None:
    async with StubOllama().serving() as one, StubOllama().serving() as other:
        mesh = engines(one.url, other.url)
        await mesh.look()
        first = mesh.choose("auto")
        mesh.busy[first.lane] += 1
        assert mesh.free()[first.lane] == 0
        assert {first.url, mesh.choose("auto").url} == {one.url, other.url}
        await mesh.close()


async def test_quoting_is_no_plan() -> None:
    mesh = engines(configured="extractive")
    assert (await mesh.ask(mesh.choose("auto"), generate(purpose="plan"), lambda _: None)).finish == "unsupported"
    quoted = await mesh.ask(mesh.choose("auto"), generate(), lambda _: None)
    assert quoted.text.startswith("A quorum queue replicates")
    nothing = await mesh.ask(mesh.choose("auto"), generate("Who painted the Mona Lisa?"), lambda _: None)
    assert (nothing.finish, nothing.text) == ("stop", "")


async def test_embedding_without_a_model_says_what_to_pull() -> None:
    async with StubOllama().serving() as stub:
        mesh = engines(stub.url)
        with pytest.raises(EngineFailed, match="ollama pull all-minilm"):
            await mesh.embed(["a"])
        stub.models["all-minilm"] = ("22.6M", ("embedding",))
        assert await mesh.embed(["ab"]) == ("ollama/all-minilm", [(2.0, 1.0)])
        await mesh.close()
