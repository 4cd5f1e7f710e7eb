"""Ollama, by its native API: what a host has, one streamed chat, embeddings. Time-outs on silence, not on the total.

The client library is loaded when something listens at a host's address: it costs a quarter of a service's start.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from services.inference.generation import (
    REFUSED,
    EngineFailed,
    Host,
    Model,
    repeats_from,
    tokens_guess,
    without_thinking,
)
from shared.contracts.generation import Generate

if TYPE_CHECKING:
    import ollama

T = TypeVar("T")
LOOK_EVERY = 16
"""Tokens between two looks for a stream that goes round in circles."""
PROBE_S = 3.0
Progress = Callable[[int], None]
"""Called with the number of tokens so far, at each one."""


@dataclass(frozen=True)
class Answer:
    """What a model said. `finish` is `length` when it was cut, by `num_predict` or because it repeated itself."""

    text: str
    finish: str
    tokens_in: int
    tokens_out: int
    first_token_s: float
    total_s: float


@dataclass
class OllamaHost:
    """One host. `num_ctx` never changes: another value makes Ollama load the model again. Connects at first use."""

    url: str
    num_ctx: int = 8192
    first_token: timedelta = timedelta(seconds=300)
    between_tokens: timedelta = timedelta(seconds=60)
    _capabilities: dict[str, tuple[bool, bool]] = field(default_factory=dict)
    _client: ollama.AsyncClient | None = None

    @property
    def client(self) -> ollama.AsyncClient:
        if self._client is None:
            import httpx
            import ollama

            silence = self.first_token.total_seconds() + 5
            # No proxy from the environment: these are hosts of one's own, and loopback must not leave the machine.
            self._client = ollama.AsyncClient(
                host=self.url, timeout=httpx.Timeout(silence, connect=PROBE_S), trust_env=False
            )
        return self._client

    async def probe(self) -> Host:
        """What the host has now. Never raises: an error is part of the answer."""
        try:
            async with asyncio.timeout(PROBE_S):
                await _listens(self.url)
                listed = (await self.client.list()).models
                loaded = {entry.model for entry in (await self.client.ps()).models}
                names = [entry.model for entry in listed if entry.model]
                able = dict(zip(names, await asyncio.gather(*map(self._able, names)), strict=True))
        except TimeoutError:
            return Host(self.url, error=f"{self.url} did not answer within {PROBE_S:.0f} s: is the host overloaded?")
        except Exception as error:
            return Host(self.url, error=str(typed_error(error, url=self.url, model="")))
        models = [
            Model(
                name=entry.model,
                parameters=_parameters(entry.details.parameter_size if entry.details else None),
                chats=able[entry.model][0],
                embeds=able[entry.model][1],
                loaded=entry.model in loaded,
            )
            for entry in listed
            if entry.model
        ]
        return Host(self.url, tuple(models))

    async def _able(self, name: str) -> tuple[bool, bool]:
        """Can it chat, can it embed? Asked once per model; servers too old to say are taken at their family's word."""
        if name not in self._capabilities:
            import ollama

            try:
                shown = await self.client.show(name)
            except (ollama.ResponseError, ValueError):  # one damaged model must not hide the others
                return False, False
            said = set(shown.capabilities or ())
            family = (shown.details.family if shown.details else None) or ""
            embeds = "embedding" in said or (not said and "bert" in family)
            self._capabilities[name] = ("completion" in said or (not said and not embeds), embeds)
        return self._capabilities[name]

    async def chat(self, model: str, request: Generate, on_token: Progress) -> Answer:
        """One call, streamed. Raises EngineFailed. Cancelling it closes the connection, which stops the model."""
        self._check_budget(request)
        began = time.monotonic()
        pieces: list[str] = []
        tokens_in = first_token_s = 0.0
        finish = "broken"
        stream: AsyncGenerator[Any, None] | None = None
        try:
            stream = await self._silent_for(self._open(model, request), self.first_token, model=model)
            silence = self.first_token
            while (part := await self._silent_for(anext(stream, None), silence, model=model)) is not None:
                if part.message.content or part.message.thinking:
                    first_token_s = first_token_s or time.monotonic() - began
                    silence = self.between_tokens
                    pieces.append(part.message.content or "")
                    on_token(len(pieces))
                if part.done:
                    finish = "stop" if part.done_reason in (None, "stop") else "length"
                    tokens_in, counted = part.prompt_eval_count or 0, part.eval_count or len(pieces)
                    break
                if len(pieces) % LOOK_EVERY == 0 and (cut := repeats_from("".join(pieces))) is not None:
                    text = "".join(pieces)[:cut]
                    total = time.monotonic() - began
                    return Answer(without_thinking(text), "length", 0, len(pieces), first_token_s, total)
        except EngineFailed:
            raise
        except Exception as error:
            raise typed_error(error, url=self.url, model=model) from error
        finally:
            if stream is not None:
                await stream.aclose()
        if finish == "broken":
            raise EngineFailed("broken", f"{self.url} broke off after {len(pieces)} tokens: is the server restarting?")
        text = without_thinking("".join(pieces))
        return Answer(text, finish, int(tokens_in), counted, first_token_s, time.monotonic() - began)

    async def _open(self, model: str, request: Generate) -> AsyncGenerator[Any, None]:
        opened: Any = await self.client.chat(
            model=model,
            messages=[{"role": m.role, "content": m.content} for m in request.messages],
            stream=True,
            format=request.output_schema,
            options={
                "num_ctx": self.num_ctx,
                "num_predict": request.max_tokens,
                "temperature": request.temperature,
                "seed": request.seed,
            },
        )
        return opened  # type: ignore[no-any-return]  # an async generator, typed as an iterator

    def _check_budget(self, request: Generate) -> None:
        """Ollama cuts a prompt that is too long without a word: better to say so."""
        asked = tokens_guess("".join(m.content for m in request.messages))
        if asked + request.max_tokens > self.num_ctx:
            raise EngineFailed(
                "too_long",
                f"the prompt (about {asked} tokens) and its answer ({request.max_tokens}) do not fit {self.num_ctx}: "
                "ask with fewer passages, or raise WARREN_NUM_CTX",
            )

    async def _silent_for(self, wait: Any, limit: timedelta, *, model: str) -> Any:
        try:
            async with asyncio.timeout(limit.total_seconds()):
                return await wait
        except TimeoutError:
            raise EngineFailed(
                "silent",
                f"{self.url} said nothing for {limit.total_seconds():.0f} s with {model}: "
                "too large for this machine? take a smaller model, or raise WARREN_FIRST_TOKEN",
            ) from None

    async def embed(self, model: str, texts: Sequence[str]) -> list[tuple[float, ...]]:
        """A vector for each text. Raises EngineFailed."""
        try:
            reply = await self.client.embed(model=model, input=list(texts), truncate=True)
        except Exception as error:
            raise typed_error(error, url=self.url, model=model) from error
        return [tuple(vector) for vector in reply.embeddings]

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()  # type: ignore[no-untyped-call]


async def _listens(url: str) -> None:
    """Raises OSError when nothing listens there. Ports as the client takes them where none is named."""
    parts = urlsplit(url if "//" in url else f"//{url}")
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 11434)
    _, writer = await asyncio.open_connection(parts.hostname, port)
    writer.close()


def typed_error(error: Exception, *, url: str, model: str) -> EngineFailed:
    """From what the client raises to what a person can do about it."""
    if isinstance(error, OSError):
        return EngineFailed("refused", f"{url} refused: {REFUSED}")
    import httpx
    import ollama

    if isinstance(error, ollama.ResponseError):
        said = str(error.error)
        if error.status_code == 404 and model:
            return EngineFailed("missing", f"{url} does not have {model}: `ollama pull {model}`")
        if error.status_code == 503 or "busy" in said:
            return EngineFailed(
                "busy", f"the queue of {url} is full: ask fewer at a time, raise OLLAMA_MAX_QUEUE, or add a host"
            )
        if "memory" in said:
            return EngineFailed("memory", f"{url}: {said}: take a smaller model, or free memory (`ollama stop`)")
        if "does not support" in said:
            return EngineFailed("unsupported", f"{url}: {said}: name another model in WARREN_MODEL")
        return EngineFailed("broken", f"{url} answered: {said} (status {error.status_code})")
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
        return EngineFailed("refused", f"{url} refused: {REFUSED}")
    if isinstance(error, httpx.TimeoutException):
        return EngineFailed("silent", f"{url} said nothing for too long: is the host overloaded?")
    if isinstance(error, httpx.HTTPError):
        return EngineFailed("broken", f"{url} broke off ({type(error).__name__}): is the server restarting?")
    return EngineFailed("broken", f"{url}: {type(error).__name__}: {error}: is this an Ollama server?")


def _parameters(size: str | None) -> float:
    """`8.0B` -> 8e9, `268.10M` -> 2.68e8."""
    scales = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
    text = (size or "").strip().upper()
    try:
        return float(text[:-1]) * scales[text[-1]] if text and text[-1] in scales else float(text or 0)
    except ValueError:
        return 0.0
