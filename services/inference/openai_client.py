"""Any OpenAI-compatible server (llama-server, vLLM, LM Studio, gateways): what it has, one streamed chat, embeddings.

The client library is loaded in a thread when a server is first asked: it costs more than a service's whole start.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from services.inference.generation import EngineFailed, Host, Model
from services.inference.openai_errors import typed_error
from services.inference.openai_messages import CallsInParts, messages_of, tools_of
from services.inference.openai_models import model_of, only_one_may_be_unsized
from services.inference.plain_schema import plain
from services.inference.routing import check_local
from services.inference.upstream import PROBE_S, Answer, Patience, Piece, Progress, check_budget, listens, read_answer
from shared.contracts.chat import calls_so_far
from shared.contracts.generation import Generate
from shared.contracts.models import ModelHeld, ModelHost
from shared.contracts.sensitivity import USUAL, Sensitivity

if TYPE_CHECKING:
    import openai

LIBRARY = ("openai", "openai.resources.chat.completions", "openai.resources.models", "openai.resources.embeddings")
INSTEAD = {"max_tokens": "max_completion_tokens"}
"""Parameters that some servers want by another name; others of `OPTIONAL` they do without."""
OPTIONAL = ("max_tokens", "temperature", "seed", "stream_options", "response_format")


@dataclass
class OpenAIHost:
    """One server. `num_ctx`: tokens of prompt and answer that are asked of it at most. Connects at first use."""

    url: str
    api_key: str | None = field(default="", repr=False)
    """Sent to this server and no other. None: it wants one, and there is none; then it is not asked."""
    num_ctx: int = 8192
    first_token: timedelta = timedelta(seconds=300)
    between_tokens: timedelta = timedelta(seconds=60)
    local: bool = False
    """May it be sent what is restricted (routing.py)?"""
    _refused: set[tuple[str, str]] = field(default_factory=set)
    """Parameters that a model's server does not know, as (model, parameter)."""
    _client: openai.AsyncOpenAI | None = None

    async def client(self) -> openai.AsyncOpenAI:
        if self._client is None:
            for module in LIBRARY:
                await asyncio.to_thread(importlib.import_module, module)
            import httpx2
            import openai

            silence = self.first_token.total_seconds() + 5
            timeout = httpx2.Timeout(silence, connect=PROBE_S)
            # A server of one's own is asked directly: loopback must not leave the machine by a proxy.
            far = self.url.startswith("https:")
            # llama-server says keep-alive and closes after a stream: of calls on such a connection a third failed.
            limits = httpx2.Limits(max_connections=100, max_keepalive_connections=20 if far else 0)
            # No redirects: what is asked here goes nowhere else, nor does the key.
            transport = httpx2.AsyncClient(timeout=timeout, trust_env=far, limits=limits, follow_redirects=False)
            self._client = openai.AsyncOpenAI(
                base_url=_base(self.url),
                api_key=self.api_key or "none",
                timeout=timeout,
                max_retries=0,  # whether a call is tried again is decided by whoever pays for it
                http_client=transport,
            )
        return self._client

    async def probe(self) -> Host:
        """What the server has now. Never raises: an error is part of the answer."""
        if self.api_key is None:
            why = f"{self.url}: the variable that infra/routing.toml names for its key is not set"
            return Host(self.url, error=why, provider="openai")
        try:
            async with asyncio.timeout(PROBE_S):
                if not self.url.startswith("https:"):
                    await listens(self.url, port=80)
            client = await self.client()
            async with asyncio.timeout(PROBE_S):
                listed = (await client.models.list()).data
        except TimeoutError:
            why = f"{self.url} did not answer within {PROBE_S:.0f} s: is the host overloaded?"
            return Host(self.url, error=why, provider="openai")
        except Exception as error:
            return Host(self.url, error=str(typed_error(error, url=self.url, model="")), provider="openai")
        found: list[Model] = [model_of(entry.id, entry.model_extra or {}) for entry in listed]
        return Host(self.url, only_one_may_be_unsized(found), provider="openai")

    async def chat(self, model: str, request: Generate, on_token: Progress) -> Answer:
        """One call, streamed. Raises EngineFailed. Cancelling it closes the connection, which stops the model."""
        check_local(self.local, request.sensitivity, url=self.url)
        check_budget(request, self.num_ctx)
        patience = Patience(self.first_token, self.between_tokens)
        who = f"{self.url} with {model}"
        return await read_answer(self._pieces(model, request), request, on_token, patience=patience, who=who)

    async def _pieces(self, model: str, request: Generate) -> AsyncGenerator[Piece, None]:
        """Usage comes after the last word; a server that ends without it, or breaks off there, has answered."""
        stream: Any = None
        finished = False
        called = CallsInParts(calls_so_far(request.messages))
        try:
            stream = await self._open(model, request)
            async for part in stream:
                if part.usage:
                    yield Piece(tokens_in=part.usage.prompt_tokens, tokens_out=part.usage.completion_tokens)
                for choice in part.choices[:1]:
                    finish = _finish(choice.finish_reason, url=self.url)
                    finished = finished or bool(finish)
                    calling = called.add(choice.delta.tool_calls or ())
                    whole = called.whole(cut=finish == "length", who=f"{self.url} with {model}") if finish else ()
                    said, thought = choice.delta.content or "", _thinking(choice.delta)
                    yield Piece(said, thought, finish, calling=calling, tool_calls=whole)
        except EngineFailed:
            raise
        except Exception as error:
            if not finished:
                raise typed_error(error, url=self.url, model=model) from error
        finally:
            if stream is not None:
                await stream.close()

    async def _open(self, model: str, request: Generate) -> Any:
        """Asked again without a parameter that the server says it does not know; remembered for the next call."""
        client = await self.client()
        import openai

        while True:
            try:
                return await client.chat.completions.create(**self._body(model, request))
            except openai.BadRequestError as error:
                unknown = next((name for name in OPTIONAL if name == error.param), None)
                if unknown is None or (model, unknown) in self._refused:
                    raise
                self._refused.add((model, unknown))

    def _body(self, model: str, request: Generate) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": model,
            "messages": messages_of(request.messages),
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
        }
        if request.tools:
            body["tools"] = tools_of(request.tools)
        if request.output_schema is not None:
            shape = plain(request.output_schema)
            wanted = {"name": "answer", "schema": shape, "strict": _is_strict(shape)}
            body["response_format"] = {"type": "json_schema", "json_schema": wanted}
        for name in OPTIONAL:
            if name in body and (model, name) in self._refused:
                value = body.pop(name)
                if name in INSTEAD:
                    body[INSTEAD[name]] = value
        return body

    async def embed(
        self, model: str, texts: Sequence[str], sensitivity: Sensitivity = USUAL
    ) -> list[tuple[float, ...]]:
        """A vector for each text, in order. Raises EngineFailed."""
        check_local(self.local, sensitivity, url=self.url)
        try:
            client = await self.client()
            reply = await client.embeddings.create(model=model, input=list(texts), encoding_format="float")
        except Exception as error:
            raise typed_error(error, url=self.url, model=model) from error
        return [tuple(entry.embedding) for entry in sorted(reply.data, key=lambda entry: entry.index)]

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()


async def held_by(host: OpenAIHost) -> ModelHost:
    """What the server lists. Never raises: an error is part of the answer."""
    seen = await host.probe()
    held = (
        ModelHeld(
            name=model.name,
            parameters=f"{model.parameters / 1e9:.3g}B" if model.parameters else "",
            chats=model.chats,
            embeds=model.embeds,
        )
        for model in seen.models
    )
    return ModelHost(url=host.url, error=seen.error, models=tuple(held))


def _base(url: str) -> str:
    """`http://host:8080` -> `http://host:8080/v1`; an address with a path is taken as it is."""
    return url if urlsplit(url).path.strip("/") else f"{url.rstrip('/')}/v1"


def _thinking(delta: Any) -> str:
    """Reasoning has no place in the protocol: servers give it one of two names."""
    return getattr(delta, "reasoning_content", None) or getattr(delta, "reasoning", None) or ""


def _finish(reason: str | None, *, url: str) -> str:
    if reason == "content_filter":
        raise EngineFailed("broken", f"{url} refused to answer (content filter): ask otherwise, or another model")
    return {None: "", "stop": "stop", "tool_calls": "stop", "function_call": "stop"}.get(reason, "length")


def _is_strict(schema: Any) -> bool:
    """May the server be told to enforce it? Hosted ones refuse that where an object leaves anything open."""
    if isinstance(schema, list):
        return all(map(_is_strict, schema))
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if isinstance(properties, dict):
        closed = schema.get("additionalProperties") is False and set(schema.get("required", ())) == set(properties)
        return closed and all(map(_is_strict, properties.values()))
    return schema.get("type") != "object" and all(map(_is_strict, schema.values()))
