"""Models looked after over the broker: listed, pulled with progress, loaded, deleted; and what a refusal says."""

import asyncio
from pathlib import Path

import pytest

from services.inference.ollama_client import OllamaHost
from shared.contracts.message import Done
from shared.contracts.models import (
    CopyModel,
    CreateModel,
    ListModels,
    ModelPulled,
    ModelReady,
    ModelShown,
    ModelsListed,
    PreloadModel,
    PullModel,
    RemoveModel,
    ShowModel,
    UnloadModel,
)
from shared.errors import RequestFailed
from shared.runtime.client import Client
from shared.testing.stub_ollama import StubOllama
from tests.integration.model_host import keeps_the_contract
from tests.integration.test_inference_service import DEADLINE_S, inference


async def test_the_stub_does_what_a_real_host_does() -> None:
    async with StubOllama.listening(more={"scratch:latest"}) as stub:
        host = OllamaHost(stub.url)
        await keeps_the_contract(host, model="stub", scratch="scratch:latest")
        await host.close()


async def test_a_model_is_pulled_loaded_and_deleted(amqp_url: str, tmp_path: Path, unused_tcp_port: int) -> None:
    """Two hosts, of which one is down: it is named, and is in nobody's way but the deleter's."""
    dead = f"http://127.0.0.1:{unused_tcp_port}"
    async with StubOllama.listening(library=("tiny:1b",)) as stub:
        stub.pull_goes_on.clear()
        settings = {"WARREN_OLLAMA_URLS": f"{dead},{stub.url}"}
        with inference(tmp_path, amqp_url, **settings):
            async with Client.connect(amqp_url) as client, asyncio.timeout(DEADLINE_S):
                pull = PullModel(model="tiny:1b")
                halfway = await client.ask(pull, ModelPulled, deadline_s=DEADLINE_S)
                stub.pull_goes_on.set()
                while not (pulled := await client.ask(pull, ModelPulled, deadline_s=DEADLINE_S)).done:
                    pass
                shown = await client.ask(ShowModel(model="tiny:1b"), ModelShown, deadline_s=DEADLINE_S)
                ready = await client.ask(PreloadModel(model="tiny:1b"), ModelReady, deadline_s=DEADLINE_S)
                listed = await client.ask(ListModels(), ModelsListed, deadline_s=DEADLINE_S)
                here = {"model": "tiny:1b", "host": stub.url}
                freed = await client.ask(UnloadModel(**here), Done, deadline_s=DEADLINE_S)
                with pytest.raises(RequestFailed, match="refused"):  # that host may have it still
                    await client.ask(RemoveModel(model="tiny:1b"), Done, deadline_s=DEADLINE_S)
                removed = await client.ask(RemoveModel(**here), Done, deadline_s=DEADLINE_S)
    assert (halfway.done, halfway.host, halfway.completed_bytes, halfway.total_bytes) == (
        False, stub.url, 1_000_000, 3_000_000,
    )  # fmt: skip
    assert (pulled.status, shown.host, ready.host) == ("success", stub.url, stub.url)
    assert [(host.url, bool(host.error)) for host in listed.hosts] == [(dead, True), (stub.url, False)]
    assert [(m.name, m.loaded) for m in listed.hosts[1].models] == [("stub", True), ("tiny:1b", True)]
    assert (freed.count, removed.count, stub.more) == (1, 1, set())


async def test_a_model_is_made_of_another(amqp_url: str, tmp_path: Path) -> None:
    async with StubOllama.listening() as stub:
        with inference(tmp_path, amqp_url, WARREN_OLLAMA_URLS=stub.url):
            async with Client.connect(amqp_url) as client, asyncio.timeout(DEADLINE_S):
                copied = await client.ask(CopyModel(model="stub", to="two"), Done, deadline_s=DEADLINE_S)
                wanted = CreateModel(model="brief", base="two", system="Be brief.", parameters={"temperature": 0.5})
                made = await client.ask(wanted, Done, deadline_s=DEADLINE_S)
                listed = await client.ask(ListModels(), ModelsListed, deadline_s=DEADLINE_S)
                nothing = wanted.model_copy(update={"base": "gone"})
                with pytest.raises(RequestFailed, match="ollama pull gone"):
                    await client.ask(nothing, Done, deadline_s=DEADLINE_S)
    assert (copied.count, made.count, listed.hosts[0].version) == (1, 1, "0.0.0-stub")
    assert {m.name for m in listed.hosts[0].models} == {"stub", "two:latest", "brief:latest"}
    assert stub.created["brief:latest"]["system"] == "Be brief."


async def test_a_refusal_says_what_to_do(amqp_url: str, tmp_path: Path) -> None:
    async with StubOllama.listening() as stub:
        with inference(tmp_path, amqp_url, WARREN_OLLAMA_URLS=stub.url):
            async with Client.connect(amqp_url) as client:

                async def refused(command: ShowModel | PullModel | PreloadModel) -> tuple[str, str]:
                    with pytest.raises(RequestFailed) as failure:
                        await client.ask(command, Done, deadline_s=DEADLINE_S)
                    return failure.value.kind, failure.value.reason

                unknown = await refused(ShowModel(model="stub", host="http://elsewhere:1"))
                missing = await refused(ShowModel(model="gone"))
                not_there = await refused(PullModel(model="gone"))
                stub.refusing = (503, "server busy, please try again.  maximum pending requests exceeded")
                busy = await refused(PreloadModel(model="stub"))
                stub.refusing = (500, "model requires more system memory (9.1 GiB) than is available (2.0 GiB)")
                memory = await refused(PreloadModel(model="stub"))
    assert unknown == (
        "unknown_host",
        f"http://elsewhere:1 is not in WARREN_OLLAMA_URLS, which names {stub.url}",
    )
    assert missing == ("missing", f"{stub.url} does not have gone: `ollama pull gone`")
    assert not_there == ("missing", "the library has no gone: look its name up at ollama.com/library")
    assert busy[0] == "busy"
    assert "OLLAMA_MAX_QUEUE" in busy[1]
    assert memory[0] == "memory"
    assert "9.1 GiB" in memory[1]
    assert "smaller model" in memory[1]
