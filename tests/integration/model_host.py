"""What any model host must do for `ollama_models`: run against the stub and against a real Ollama alike."""

from pathlib import Path

import pytest

from services.inference import ollama_models
from services.inference.generation import EngineFailed
from services.inference.ollama_client import OllamaHost
from shared.contracts.models import CreateModel, ModelPulled

GONE = "nowhere:1b"
TEMPLATE = Path(__file__).parent / "templates" / "tools.gotmpl"


async def is_loaded(host: OllamaHost, model: str) -> bool:
    return next(m for m in (await ollama_models.held_by(host)).models if m.name == model).loaded


async def loads_and_unloads(host: OllamaHost, model: str) -> None:
    """Both twice: neither minds."""
    for _ in range(2):
        ready = await ollama_models.preload(host, model, 60)
        assert (ready.host, ready.model) == (host.url, model)
        assert await is_loaded(host, model)
    for _ in range(2):
        await ollama_models.unload(host, model)
        assert not await is_loaded(host, model)


async def deletes_once(host: OllamaHost, scratch: str) -> None:
    """`scratch` is there, and is not missed afterwards."""
    assert scratch in [m.name for m in (await ollama_models.held_by(host)).models]
    await ollama_models.remove(host, scratch)
    assert scratch not in [m.name for m in (await ollama_models.held_by(host)).models]
    with pytest.raises(EngineFailed, match="does not have") as failed:
        await ollama_models.remove(host, scratch)
    assert failed.value.kind == "missing"


async def says_what_is_missing(host: OllamaHost) -> None:
    for ask in (
        lambda: ollama_models.show(host, GONE),
        lambda: ollama_models.preload(host, GONE, None),
        lambda: ollama_models.unload(host, GONE),
    ):
        with pytest.raises(EngineFailed, match=f"{GONE}: `ollama pull {GONE}`") as failed:
            await ask()
        assert failed.value.kind == "missing"


async def a_pull_of_nothing_fails(host: OllamaHost) -> None:
    """Its status is 200 and its error is in the stream; a real host without the network cannot reach its library."""
    seen: list[ModelPulled] = []
    with pytest.raises(EngineFailed, match="library") as failed:
        await ollama_models.pull(host, GONE, seen.append)
    assert failed.value.kind in ("missing", "refused")
    assert [part.status for part in seen] == ["pulling manifest"]


async def copies_and_creates(host: OllamaHost, model: str, template: str) -> None:
    """Each twice: neither minds. The host's own version is told beside what it has."""
    asked = CreateModel(
        model="made", base=model, system="Be brief.", template=template, parameters={"temperature": 0.5}
    )
    for _ in range(2):
        await ollama_models.copy(host, model, "second")
        await ollama_models.create(host, asked)
    held = await ollama_models.held_by(host)
    assert {"second:latest", "made:latest"} <= {m.name for m in held.models}
    assert held.version
    shown = await ollama_models.show(host, "made")
    assert "temperature" in shown.settings
    assert "0.5" in shown.settings
    assert "tools" in shown.capabilities  # of its template
    for nothing in (
        lambda: ollama_models.copy(host, GONE, "third"),
        lambda: ollama_models.create(host, asked.model_copy(update={"base": GONE})),
    ):
        with pytest.raises(EngineFailed, match=f"{GONE}: `ollama pull {GONE}`") as failed:
            await nothing()
        assert failed.value.kind == "missing"
    for name in ("second:latest", "made:latest"):
        await ollama_models.remove(host, name)


async def keeps_the_contract(host: OllamaHost, *, model: str, scratch: str) -> None:
    """All of it. `model` is there and stays; `scratch` is there and is deleted."""
    await loads_and_unloads(host, model)
    await says_what_is_missing(host)
    await a_pull_of_nothing_fails(host)
    await deletes_once(host, scratch)
    await copies_and_creates(host, model, TEMPLATE.read_text())
