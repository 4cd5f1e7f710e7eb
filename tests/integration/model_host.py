"""What any model host must do for `ollama_models`: run against the stub and against a real Ollama alike."""

import pytest

from services.inference import ollama_models
from services.inference.generation import EngineFailed
from services.inference.ollama_client import OllamaHost
from shared.contracts.models import ModelPulled

GONE = "nowhere:1b"


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


async def keeps_the_contract(host: OllamaHost, *, model: str, scratch: str) -> None:
    """All of it. `model` is there and stays; `scratch` is there and is deleted."""
    await loads_and_unloads(host, model)
    await says_what_is_missing(host)
    await a_pull_of_nothing_fails(host)
    await deletes_once(host, scratch)
