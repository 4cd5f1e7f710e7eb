"""The models of one Ollama host: what it has, fetch, make, load, unload, delete. All errors are EngineFailed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from services.inference.generation import EngineFailed
from services.inference.ollama_client import OllamaHost, typed_error
from services.inference.upstream import PROBE_S
from shared.contracts.models import CreateModel, ModelHeld, ModelHost, ModelPulled, ModelReady, ModelShown

FREED_S = 30.0
"""Seconds in which an unloaded model's memory is free, once nobody uses it."""


async def held_by(host: OllamaHost) -> ModelHost:
    """What the host has. Never raises: an error is part of the answer."""
    seen = await host.probe()
    if seen.error is not None:
        return ModelHost(url=host.url, error=seen.error)
    try:
        async with _errors(host, ""):
            listed = {entry.model: entry for entry in (await host.client.list()).models}
            running = {entry.model: entry for entry in (await host.client.ps()).models}
    except EngineFailed as error:
        return ModelHost(url=host.url, error=str(error))
    models = []
    for model in seen.models:
        disk, memory = listed.get(model.name), running.get(model.name)
        details = disk.details if disk else None
        held = ModelHeld(
            name=model.name,
            size_bytes=int(disk.size or 0) if disk else 0,
            parameters=(details.parameter_size if details else None) or "",
            quantization=(details.quantization_level if details else None) or "",
            chats=model.chats,
            embeds=model.embeds,
            loaded=memory is not None,
            memory_bytes=int(memory.size or 0) if memory else 0,
            context=memory.context_length if memory else None,
            until=memory.expires_at if memory else None,
        )
        models.append(held)
    return ModelHost(url=host.url, models=tuple(models), version=await version(host))


async def version(host: OllamaHost) -> str:
    """Of its server; "" when it does not say. Never raises."""
    import httpx

    try:
        async with httpx.AsyncClient(trust_env=False, timeout=PROBE_S) as client:
            said = (await client.get(f"{host.url}/api/version")).json()
    except (httpx.HTTPError, ValueError):
        return ""
    return str(said.get("version", "")) if isinstance(said, dict) else ""


async def show(host: OllamaHost, model: str) -> ModelShown:
    """What the host says about a model. Raises EngineFailed."""
    async with _errors(host, model):
        shown = await host.client.show(model)
    details = shown.details
    lengths = [value for name, value in (shown.modelinfo or {}).items() if name.endswith(".context_length")]
    return ModelShown(
        host=host.url,
        model=model,
        family=(details.family if details else None) or "",
        parameters=(details.parameter_size if details else None) or "",
        quantization=(details.quantization_level if details else None) or "",
        context=int(lengths[0]) if lengths else None,
        capabilities=tuple(shown.capabilities or ()),
        settings=shown.parameters or "",
        template=shown.template or "",
    )


async def pull(host: OllamaHost, model: str, on_progress: Callable[[ModelPulled], None]) -> ModelPulled:
    """Fetches a model to the end; parts that are there are not fetched again. Raises EngineFailed."""
    status = ""
    async with _errors(host, model, pulling=True):
        async for part in await host.client.pull(model, stream=True):
            status = part.status or ""
            on_progress(
                ModelPulled(
                    host=host.url,
                    model=model,
                    status=status,
                    completed_bytes=part.completed or 0,
                    total_bytes=part.total or 0,
                )
            )
    if status != "success":  # the connection ended politely, the pull did not
        raise EngineFailed("broken", f"{host.url} broke off at {status!r}: pull {model} again, it goes on from there")
    return ModelPulled(host=host.url, model=model, status=status, done=True)


async def preload(host: OllamaHost, model: str, keep_s: float | None) -> ModelReady:
    """Loads a model as calls will use it: another `num_ctx` would make the host load it again. Raises EngineFailed."""
    began = time.monotonic()
    await _touch(host, model, keep_s)
    return ModelReady(host=host.url, model=model, seconds=time.monotonic() - began)


async def unload(host: OllamaHost, model: str) -> None:
    """Frees its memory; harmless when it is not loaded. Raises EngineFailed."""
    await _touch(host, model, 0.0)
    async with _errors(host, model):  # the host says yes first, and frees it then
        async with asyncio.timeout(FREED_S):
            while _names(model) & {entry.model for entry in (await host.client.ps()).models}:
                await asyncio.sleep(0.1)


async def remove(host: OllamaHost, model: str) -> None:
    """Deletes it from the host's disk. Raises EngineFailed, kind `missing` when it is not there (any more)."""
    async with _errors(host, model):
        await host.client.delete(model)


async def copy(host: OllamaHost, model: str, to: str) -> None:
    """Gives it a second name. Raises EngineFailed."""
    async with _errors(host, model):
        await host.client.copy(model, to)


async def create(host: OllamaHost, wanted: CreateModel) -> None:
    """Raises EngineFailed, kind `missing` when the base is not there: the host would go and fetch it unasked."""
    await show(host, wanted.base)
    status = ""
    async with _errors(host, wanted.base):
        parts = await host.client.create(
            wanted.model,
            from_=wanted.base,
            system=wanted.system,
            template=wanted.template,
            parameters=wanted.parameters or None,
            stream=True,
        )
        async for part in parts:
            status = part.status or ""
    if status != "success":
        raise EngineFailed("broken", f"{host.url} broke off at {status!r}: create {wanted.model} again")


def _names(model: str) -> set[str]:
    return {model, f"{model}:latest"}


async def _touch(host: OllamaHost, model: str, keep_s: float | None) -> None:
    """An empty request does nothing but set how long the model stays; one that only embeds takes no other kind."""
    shown = await show(host, model)
    ask: Callable[..., Awaitable[Any]] = host.client.generate
    more: dict[str, Any] = {"prompt": "", "options": {"num_ctx": host.num_ctx}}
    if "embedding" in shown.capabilities and "completion" not in shown.capabilities:
        ask, more = host.client.embed, {"input": ""}
    async with _errors(host, model):
        await ask(model=model, keep_alive=keep_s, **more)


@asynccontextmanager
async def _errors(host: OllamaHost, model: str, *, pulling: bool = False) -> AsyncIterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise EngineFailed("busy", f"{host.url} still uses {model}: try again when its calls are done") from error
    except Exception as error:
        if pulling and "file does not exist" in str(error):
            why = f"the library has no {model}: look its name up at ollama.com/library"
            raise EngineFailed("missing", why) from error
        if pulling and "dial tcp" in str(error):
            why = f"{host.url} cannot reach its library, it needs the network for that: {error}"
            raise EngineFailed("refused", why) from error
        raise typed_error(error, url=host.url, model=model) from error
