"""What inference does with messages about models: finds the host that is meant, and keeps pulls going."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

import structlog

from services.inference import ollama_models, openai_client
from services.inference.engines import Engines
from services.inference.generation import EngineFailed
from services.inference.ollama_client import OllamaHost
from shared.contracts.message import Done, Refused
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
from shared.messaging.envelope import Envelope

log = structlog.get_logger()
ANSWER_S = 1.0
"""Seconds until somebody who asks for a pull hears how far it is."""
KEPT_S = 30.0
"""How long a pull that has ended is somebody's answer; who asks later wants a new one."""
ELSEWHERE = ("missing", "refused", "silent")
"""Troubles of one host that another may not have."""
T = TypeVar("T")
P = ParamSpec("P")


@dataclass
class Pull:
    """A pull that runs, and how far it is."""

    task: asyncio.Task[ModelPulled]
    seen: ModelPulled
    ended: float = 0.0
    """By the clock that does not jump, once it has ended."""


def _refusing(handler: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T | Refused]]:
    """Trouble with a host is an answer, not a failure of the message: trying it again would not mend it."""

    async def answer(*args: P.args, **kwargs: P.kwargs) -> T | Refused:
        try:
            return await handler(*args, **kwargs)
        except EngineFailed as error:
            return Refused(error=error.kind, reason=error.reason)

    return answer


@dataclass
class Models:
    """One per process. What runs is lost with the process, and taken up by whoever is asked next."""

    engines: Engines
    _pulls: dict[tuple[str, str], Pull] = field(default_factory=dict)

    async def on_list(self, _: ListModels, __: Envelope) -> ModelsListed:
        found = await asyncio.gather(
            *map(ollama_models.held_by, self.engines.ollama), *map(openai_client.held_by, self.engines.openai)
        )
        return ModelsListed(hosts=tuple(found))

    @_refusing
    async def on_show(self, message: ShowModel, _: Envelope) -> ModelShown:
        return await self._first(message.host, lambda host: ollama_models.show(host, message.model))

    @_refusing
    async def on_pull(self, message: PullModel, _: Envelope) -> ModelPulled:
        """Starts it or joins it, and answers when it ends, or after a second."""
        urls = [host.url for host in self._meant(message.host)]
        pull = next((pull for url in urls if (pull := self._known(url, message.model))), None)
        if pull is None:
            pull = self._begin(await self._answering(message.host), message.model)
        await asyncio.wait([pull.task], timeout=ANSWER_S)
        if not pull.task.done():
            return pull.seen
        key = (pull.seen.host, message.model)
        if self._pulls.get(key) is pull:
            del self._pulls[key]
            await self.engines.look(again=True)
        return pull.task.result()

    def _known(self, url: str, model: str) -> Pull | None:
        pull = self._pulls.get((url, model))
        return None if pull is None or (pull.ended and time.monotonic() - pull.ended > KEPT_S) else pull

    def _begin(self, host: OllamaHost, model: str) -> Pull:
        def note(seen: ModelPulled) -> None:
            pull.seen = seen

        def ended(task: asyncio.Task[ModelPulled]) -> None:
            pull.ended = time.monotonic()
            error = None if task.cancelled() else task.exception()
            log.info("pull_ended", model=model, host=host.url, error=str(error) if error else None)

        log.info("pull", model=model, host=host.url)
        task = asyncio.create_task(ollama_models.pull(host, model, note))
        pull = Pull(task, ModelPulled(host=host.url, model=model, status="asked"))
        task.add_done_callback(ended)
        self._pulls[host.url, model] = pull
        return pull

    @_refusing
    async def on_preload(self, message: PreloadModel, _: Envelope) -> ModelReady:
        return await self._first(message.host, lambda host: ollama_models.preload(host, message.model, message.keep_s))

    @_refusing
    async def on_unload(self, message: UnloadModel, _: Envelope) -> Done:
        return await self._everywhere(message.host, lambda host: ollama_models.unload(host, message.model))

    @_refusing
    async def on_remove(self, message: RemoveModel, _: Envelope) -> Done:
        done = await self._everywhere(message.host, lambda host: ollama_models.remove(host, message.model))
        await self.engines.look(again=True)
        return done

    @_refusing
    async def on_copy(self, message: CopyModel, _: Envelope) -> Done:
        done = await self._everywhere(message.host, lambda host: ollama_models.copy(host, message.model, message.to))
        await self.engines.look(again=True)
        return done

    @_refusing
    async def on_create(self, message: CreateModel, _: Envelope) -> Done:
        done = await self._everywhere(message.host, lambda host: ollama_models.create(host, message))
        await self.engines.look(again=True)
        return done

    def _meant(self, named: str) -> list[OllamaHost]:
        """The host that is named, or all. Raises EngineFailed."""
        hosts = list(self.engines.ollama)
        if named.rstrip("/") in (host.url for host in self.engines.openai):
            why = f"{named} is no Ollama: load and unload its models there, `warren models list` shows them"
            raise EngineFailed("unsupported", why)
        if not hosts:
            raise EngineFailed("unknown_host", "there is no model host: name one in WARREN_OLLAMA_URLS")
        meant = [host for host in hosts if not named or host.url == named.rstrip("/")]
        if not meant:
            known = ", ".join(host.url for host in hosts)
            raise EngineFailed("unknown_host", f"{named} is not in WARREN_OLLAMA_URLS, which names {known}")
        return meant

    async def _answering(self, named: str) -> OllamaHost:
        errors = []
        for host in self._meant(named):
            if (error := (await host.probe()).error) is None:
                return host
            errors.append(error)
        raise EngineFailed("refused", errors[0])

    async def _first(self, named: str, ask: Callable[[OllamaHost], Awaitable[T]]) -> T:
        """Of the first host that has it. Raises what says most: that it is missing, rather than a host."""
        failures = []
        for host in self._meant(named):
            try:
                return await ask(host)
            except EngineFailed as error:
                if error.kind not in ELSEWHERE:
                    raise
                failures.append(error)
        raise next((error for error in failures if error.kind == "missing"), failures[0])

    async def _everywhere(self, named: str, ask: Callable[[OllamaHost], Awaitable[None]]) -> Done:
        """On every host that has it; a host that could not be asked is an error, for it may have it still."""
        count = 0
        missing = None
        for host in self._meant(named):
            try:
                await ask(host)
                count += 1
            except EngineFailed as error:
                if error.kind != "missing":
                    raise
                missing = error
        if missing and not count:
            raise missing
        return Done(count=count)

    async def run(self) -> None:
        """Until cancelled; then pulls end too. The hosts keep what they have fetched."""
        try:
            await asyncio.Event().wait()
        finally:
            tasks = [pull.task for pull in self._pulls.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
