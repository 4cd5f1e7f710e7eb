"""A real Ollama with a small real model: what the client and the service promise, seen on the real thing.

The model comes from outside: `WARREN_TEST_MODEL_LOADER` is an executable that takes the server's URL and puts
`gemma3:270m` and `all-minilm` into it.
"""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import httpx
import pytest

from services.inference import ollama_models
from services.inference.generation import EngineFailed, choose_embedder, choose_engine
from services.inference.ollama_client import OllamaHost
from shared.contracts.models import CreateModel
from tests.integration import engines, tool_talk
from tests.integration.model_host import keeps_the_contract, loads_and_unloads
from tests.integration.waiting import wait_until
from tests.unit.inference.requests import generate

IMAGE = "ollama/ollama:0.17.4"
MODEL = "gemma3:270m"
pytestmark = [pytest.mark.docker, pytest.mark.ollama, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def ollama_url() -> Iterator[str]:
    loader = os.environ.get("WARREN_TEST_MODEL_LOADER")
    if not loader:
        pytest.skip("WARREN_TEST_MODEL_LOADER names no loader of gemma3:270m")
    engines.need_docker()
    from testcontainers.core.container import DockerContainer

    server = DockerContainer(IMAGE)
    server.ports["11434/tcp"] = ("127.0.0.1", None)  # with_exposed_ports would listen on all addresses
    with server:
        url = f"http://127.0.0.1:{server.get_exposed_port(11434)}"
        wait_until(lambda: _answers(url), deadline_s=60, what=f"Ollama answers at {url}")
        subprocess.run([loader, url], check=True, timeout=300)
        yield url


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/version", timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


@pytest.fixture
async def host(ollama_url: str) -> AsyncIterator[OllamaHost]:
    client = OllamaHost(ollama_url, num_ctx=2048, first_token=timedelta(seconds=120))
    yield client
    await client.close()


async def test_the_host_is_seen_with_what_its_models_can_do(host: OllamaHost) -> None:
    seen = await host.probe()
    models = {model.name: model for model in seen.models}
    assert models[MODEL].chats
    assert 2e8 < models[MODEL].parameters < 4e8
    found = choose_embedder([seen], "")
    assert found is not None
    assert not found[1].chats
    assert "only models under 3B" in (choose_engine("auto", configured="", hosts=[seen]).reason or "")
    assert choose_engine("auto", configured=f"ollama/{MODEL}", hosts=[seen]).reason is None


async def test_a_chat_is_streamed_and_bounded(host: OllamaHost) -> None:
    tokens: list[int] = []
    answer = await host.chat(MODEL, generate("What is a queue?", max_tokens=24), tokens.append)
    assert answer.finish in ("stop", "length")
    assert 0 < answer.tokens_out <= 24
    assert answer.tokens_in > 0
    assert tokens
    assert 0 < answer.first_token_s <= answer.total_s


async def test_what_is_restricted_is_asked_of_models_that_run_there(ollama_url: str) -> None:
    """A model of its own, and no model at all: a real host says of both what the client needs to know."""
    local = OllamaHost(ollama_url, num_ctx=2048, first_token=timedelta(seconds=120), local=True)
    request = generate("What is a queue?", max_tokens=4, sensitivity="restricted")
    assert (await local.chat(MODEL, request, lambda _: None)).tokens_out > 0
    assert len(await local.embed("all-minilm", ["one"], "restricted")) == 1
    with pytest.raises(EngineFailed) as failed:
        await local.chat("nowhere", request, lambda _: None)
    assert failed.value.kind == "missing"
    await local.close()


async def test_the_same_seed_says_the_same(host: OllamaHost) -> None:
    request = generate("What is a queue?", max_tokens=12, seed=7)
    one, other = [(await host.chat(MODEL, request, lambda _: None)).text for _ in range(2)]
    assert one == other


async def test_a_schema_is_held_to(host: OllamaHost) -> None:
    schema = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"]}
    answer = await host.chat(MODEL, generate("Say 1.", max_tokens=40, output_schema=schema), lambda _: None)
    assert answer.text.strip().startswith("{")


async def test_a_schema_that_would_end_the_server_is_sent_without_what_does(host: OllamaHost) -> None:
    """Sent as it is, this pattern is a SIGSEGV of the whole of Ollama 0.17.4, and this length a status 500."""
    text = {"type": "string", "pattern": "^(?=x).*$", "maxLength": 100_000}
    schema = {"type": "object", "properties": {"n": {"enum": [1, 2]}, "why": text}, "required": ["n"]}
    answer = await host.chat(MODEL, generate("Say 1.", max_tokens=40, output_schema=schema), lambda _: None)
    assert answer.text.strip().startswith("{")
    assert (await host.probe()).error is None


async def test_a_missing_model_says_how_to_get_it(host: OllamaHost) -> None:
    with pytest.raises(EngineFailed, match="ollama pull nowhere") as failed:
        await host.chat("nowhere", generate(), lambda _: None)
    assert failed.value.kind == "missing"


async def test_embeddings_are_real_and_only_embedding_models_give_them(host: OllamaHost) -> None:
    vectors = await host.embed("all-minilm", ["a queue", "a cat"])
    assert [len(vector) for vector in vectors] == [384, 384]
    with pytest.raises(EngineFailed, match="does not support") as failed:
        await host.embed(MODEL, ["a queue"])
    assert failed.value.kind == "unsupported"


async def test_tools_and_pictures_are_for_models_that_know_them(host: OllamaHost) -> None:
    await tool_talk.says_that_it_cannot_see(host, MODEL)
    await tool_talk.says_that_it_has_no_use_for_tools(host, MODEL)
    template = (tool_talk.TEMPLATES / "tools.gotmpl").read_text()
    made = CreateModel(model="tools", base=MODEL, template=template, parameters={"stop": ["<|im_end|>"]})
    await ollama_models.create(host, made)
    await tool_talk.calls_a_tool(host, "tools")
    await ollama_models.unload(host, "tools")  # of one file: while it is loaded, Ollama shows its base as not loaded
    await ollama_models.remove(host, "tools")


async def test_cancelling_stops_the_model(host: OllamaHost) -> None:
    """Were it still writing, the next call would wait for 1500 tokens: there is one slot."""
    started = asyncio.Event()
    request = generate("Tell a long story.", max_tokens=1500, temperature=1.0)
    call = asyncio.create_task(host.chat(MODEL, request, lambda _: started.set()))
    async with asyncio.timeout(120):
        await started.wait()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    async with asyncio.timeout(20):
        await host.chat(MODEL, generate("What is a queue?", max_tokens=4), lambda _: None)


async def test_models_are_loaded_unloaded_and_deleted(host: OllamaHost) -> None:
    """The same demands that the stub has to meet; and the model is loaded with the context that calls use."""
    await host.client.copy(MODEL, "scratch:latest")
    await keeps_the_contract(host, model=MODEL, scratch="scratch:latest")
    await loads_and_unloads(host, "all-minilm:latest")
    await ollama_models.preload(host, MODEL, 60)
    held = next(model for model in (await ollama_models.held_by(host)).models if model.name == MODEL)
    assert (held.context, held.chats, held.loaded) == (2048, True, True)
    assert held.size_bytes > 1e8
    assert held.memory_bytes > 1e8
    shown = await ollama_models.show(host, MODEL)
    assert shown.family == "gemma3"
    assert (shown.context or 0) >= 2048
