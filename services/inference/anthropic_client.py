"""Anthropic's messages API: what it has, and one streamed chat. Its package is an optional extra.

The package is loaded in a thread when the server is first asked, and only where a key is configured. `temperature` and
`seed` are not sent: the API has no such parameters any more.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from services.inference.anthropic_errors import not_installed, typed_error
from services.inference.anthropic_messages import closed, messages_of, system_of, tools_of
from services.inference.generation import EngineFailed, Host, Model
from services.inference.openai_messages import CallsInParts
from services.inference.plain_schema import plain
from services.inference.routing import check_local
from services.inference.upstream import PROBE_S, Answer, Patience, Piece, Progress, check_budget, listens, read_answer
from shared.contracts.chat import calls_so_far
from shared.contracts.generation import Generate
from shared.contracts.sensitivity import USUAL, Sensitivity

if TYPE_CHECKING:
    import anthropic

LIBRARY = ("anthropic", "anthropic.resources.messages", "anthropic.resources.models")
ENDED = {None: "", "end_turn": "stop", "stop_sequence": "stop", "tool_use": "stop"}
"""Any other reason means that the answer is cut."""


@dataclass
class AnthropicHost:
    """The API at one address. `num_ctx`: tokens of prompt and answer that are asked of it at most."""

    url: str
    api_key: str = field(repr=False)
    """Never empty: without one the package would look for credentials of its own on this machine."""
    num_ctx: int = 8192
    first_token: timedelta = timedelta(seconds=300)
    between_tokens: timedelta = timedelta(seconds=60)
    local: bool = False
    """May it be sent what is restricted (routing.py)?"""
    _shapeless: set[str] = field(default_factory=set)
    """Models that do not take the shape of an answer."""
    _client: anthropic.AsyncAnthropic | None = None

    async def client(self) -> anthropic.AsyncAnthropic:
        """Raises ImportError where the extra is not installed."""
        if self._client is None:
            for module in LIBRARY:
                await asyncio.to_thread(importlib.import_module, module)
            import anthropic
            import httpx2

            timeout = httpx2.Timeout(self.first_token.total_seconds() + 5, connect=PROBE_S)
            far = self.url.startswith("https:")  # as with OpenAIHost: only what is far away is asked through a proxy
            transport = httpx2.AsyncClient(timeout=timeout, trust_env=far, follow_redirects=False)
            self._client = anthropic.AsyncAnthropic(
                base_url=self.url,
                api_key=self.api_key,
                timeout=timeout,
                max_retries=0,  # whether a call is tried again is decided by whoever pays for it
                http_client=transport,
                open_telemetry=False,
            )
        return self._client

    async def probe(self) -> Host:
        """What the API lists. Never raises: an error is part of the answer. `auto` takes none of it by itself."""
        try:
            client = await self.client()
            async with asyncio.timeout(PROBE_S):
                if not self.url.startswith("https:"):
                    await listens(self.url, port=80)
                listed = (await client.models.list(limit=1000)).data
        except ImportError:
            return Host(self.url, error=not_installed(self.url), provider="anthropic")
        except TimeoutError:
            why = f"{self.url} did not answer within {PROBE_S:.0f} s: is there a network?"
            return Host(self.url, error=why, provider="anthropic")
        except Exception as error:
            return Host(self.url, error=str(typed_error(error, url=self.url, model="")), provider="anthropic")
        models = tuple(Model(entry.id, loaded=True, unasked=False) for entry in listed)
        return Host(self.url, models, provider="anthropic")

    async def chat(self, model: str, request: Generate, on_token: Progress) -> Answer:
        """One call, streamed. Raises EngineFailed. Cancelling it closes the connection, which stops the model."""
        check_budget(request, self.num_ctx)
        patience = Patience(self.first_token, self.between_tokens)
        who = f"{self.url} with {model}"
        check_local(self.local, request.sensitivity, url=self.url)
        return await read_answer(self._pieces(model, request), request, on_token, patience=patience, who=who)

    async def _pieces(self, model: str, request: Generate) -> AsyncGenerator[Piece, None]:
        """What was read is told at the start, what was written at the end."""
        stream: Any = None
        reading = _Reading(f"{self.url} with {model}", CallsInParts(calls_so_far(request.messages)))
        try:
            stream = await self._open(model, request)
            async for event in stream:
                if piece := reading.piece(event):
                    yield piece
        except EngineFailed:
            raise
        except Exception as error:
            if not reading.finished:
                raise typed_error(error, url=self.url, model=model) from error
        finally:
            if stream is not None:
                await stream.close()

    async def _open(self, model: str, request: Generate) -> Any:
        """Asked again without the shape where the API does not take it: whoever asked validates the answer anyway."""
        client = await self.client()
        import anthropic

        body = self._body(model, request)
        try:
            return await client.messages.create(**body)
        except anthropic.BadRequestError as error:
            if "output_config" not in body or "output_config" not in str(error.api_message):
                raise
            self._shapeless.add(model)
            return await client.messages.create(**self._body(model, request))

    def _body(self, model: str, request: Generate) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": model,
            "messages": messages_of(request.messages),
            "max_tokens": request.max_tokens,
            "stream": True,
        }
        if system := system_of(request.messages):
            body["system"] = system
        if request.tools:
            body["tools"] = tools_of(request.tools)
        if request.output_schema is not None and model not in self._shapeless:
            shape = closed(plain(request.output_schema))
            body["output_config"] = {"format": {"type": "json_schema", "schema": shape}}
        return body

    async def embed(
        self, model: str, texts: Sequence[str], sensitivity: Sensitivity = USUAL
    ) -> list[tuple[float, ...]]:
        """Raises EngineFailed: the API has no embeddings."""
        raise EngineFailed("unsupported", f"{self.url} does not embed: name another model in WARREN_EMBED_MODEL")

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()


@dataclass
class _Reading:
    """The events of one stream, as pieces. `finished`: it said why it ended."""

    who: str
    called: CallsInParts
    finished: bool = False
    tokens_in: int = 0

    def piece(self, event: Any) -> Piece | None:
        """None for what says nothing. Raises EngineFailed when the model refused."""
        if event.type == "message_start":
            self.tokens_in = _read(event.message.usage)
        elif event.type == "content_block_start" and event.content_block.type == "tool_use":
            block = event.content_block
            return Piece(calling=self._call(event.index, id=block.id, name=block.name))
        elif event.type == "content_block_delta":
            return self._delta(event.index, event.delta)
        elif event.type == "message_delta":
            return self._end(event)
        return None

    def _delta(self, index: int, delta: Any) -> Piece | None:
        if delta.type == "text_delta":
            return Piece(delta.text)
        if delta.type == "thinking_delta":
            return Piece(thinking=delta.thinking)
        if delta.type == "input_json_delta":
            return Piece(calling=self._call(index, arguments=delta.partial_json))
        return None

    def _call(self, index: int, *, id: str = "", name: str = "", arguments: str = "") -> str:  # noqa: A002
        part = SimpleNamespace(index=index, id=id, function=SimpleNamespace(name=name, arguments=arguments))
        return self.called.add([part])

    def _end(self, event: Any) -> Piece:
        reason = event.delta.stop_reason
        if reason == "refusal":
            raise EngineFailed("unsupported", f"{self.who} refused to answer: ask otherwise, or another model")
        finish = ENDED.get(reason, "length")
        self.finished = self.finished or bool(finish)
        calls = self.called.whole(cut=finish == "length", who=self.who) if finish else ()
        tokens_in = max(self.tokens_in, _read(event.usage))
        return Piece(finish=finish, tool_calls=calls, tokens_in=tokens_in, tokens_out=event.usage.output_tokens)


def _read(usage: Any) -> int:
    """Tokens of the prompt, those that the API had in its own cache included."""
    counted = (usage.input_tokens, usage.cache_creation_input_tokens, usage.cache_read_input_tokens)
    return sum(each or 0 for each in counted)
