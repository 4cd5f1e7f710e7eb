"""Ollama, by its native API: what a host has, one streamed chat, embeddings. Time-outs on silence, not on the total.

The client library is loaded when something listens at a host's address: it costs a quarter of a service's start.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from services.inference.generation import REFUSED, EngineFailed, Host, Model
from services.inference.ollama_messages import calls_in, messages_of, tools_of
from services.inference.plain_schema import plain
from services.inference.routing import check_local, passed_on
from services.inference.upstream import PROBE_S, Answer, Patience, Piece, Progress, check_budget, listens, read_answer
from shared.contracts.chat import calls_so_far
from shared.contracts.generation import Generate
from shared.contracts.sensitivity import USUAL, Sensitivity

if TYPE_CHECKING:
    import httpx
    import ollama


@dataclass
class OllamaHost:
    """One host. `num_ctx` never changes: another value makes Ollama load the model again. Connects at first use."""

    url: str
    num_ctx: int = 8192
    first_token: timedelta = timedelta(seconds=300)
    between_tokens: timedelta = timedelta(seconds=60)
    local: bool = False
    """May it be sent what is restricted (routing.py)?"""
    api_key: str | None = field(default="", repr=False)
    """Of this host's own entry in the routing table; "" for none, None where its variable is not set."""
    _capabilities: dict[str, frozenset[str]] = field(default_factory=dict)
    """By model, as the host names them: completion, embedding, tools, vision."""
    _digests: dict[str, str | None] = field(default_factory=dict)
    _client: ollama.AsyncClient | None = None

    @property
    def client(self) -> ollama.AsyncClient:
        if self._client is None:
            import httpx
            import ollama

            silence = self.first_token.total_seconds() + 5
            # No proxy from the environment: these are hosts of one's own, and loopback must not leave the machine.
            # No redirects: what is asked here goes nowhere else.
            timeout = httpx.Timeout(silence, connect=PROBE_S)
            # Its own key or none: the library would send OLLAMA_API_KEY to every host, which is not everyone's to know.
            self._client = ollama.AsyncClient(
                host=self.url, timeout=timeout, trust_env=False, follow_redirects=False, auth=self.sign
            )
        return self._client

    def sign(self, request: httpx.Request) -> httpx.Request:
        """With this host's key, or none."""
        request.headers.pop("authorization", None)
        if self.api_key:
            request.headers["authorization"] = f"Bearer {self.api_key}"
        return request

    async def probe(self) -> Host:
        """What the host has now. Never raises: an error is part of the answer."""
        if self.api_key is None:
            why = f"{self.url}: the variable that infra/routing.toml names for its key is not set"
            return Host(self.url, error=why)
        try:
            async with asyncio.timeout(PROBE_S):
                await listens(self.url, port=11434)
                listed = (await self.client.list()).models
                loaded = {entry.model for entry in (await self.client.ps()).models}
                self._forget({entry.model: entry.digest for entry in listed if entry.model})
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

    def _forget(self, digests: dict[str, str | None]) -> None:
        """What a model could do is asked again where another goes by its name now."""
        same = {name for name, digest in digests.items() if self._digests.get(name) == digest}
        self._capabilities = {name: can for name, can in self._capabilities.items() if name in same}
        self._digests = digests

    async def _able(self, name: str) -> tuple[bool, bool]:
        """Can it chat, can it embed?"""
        import ollama

        try:
            can = await self._can(name)
        except (ollama.ResponseError, ValueError):  # one damaged model must not hide the others
            return False, False
        return "completion" in can, "embedding" in can

    async def _can(self, name: str) -> frozenset[str]:
        """Asked once per model; servers too old to say are taken at their family's word, and may be asked anything."""
        if name not in self._capabilities:
            shown = await self.client.show(name)
            family = (shown.details.family if shown.details else None) or ""
            guess = {"embedding"} if "bert" in family else {"completion", "tools", "vision"}
            self._capabilities[name] = frozenset(shown.capabilities or guess)
        return self._capabilities[name]

    async def _check(self, model: str, request: Generate) -> None:
        """Pictures given to a model without eyes are an error of the server, or are passed over in silence."""
        wanted = {"tools": bool(request.tools), "vision": any(message.images for message in request.messages)}
        if any(wanted.values()):
            try:
                can = await self._can(model)
            except Exception as error:
                raise typed_error(error, url=self.url, model=model) from error
            if lacking := [what for what, is_wanted in wanted.items() if is_wanted and what not in can]:
                raise _unsupported(f"{self.url}: {model} does not support {' or '.join(lacking)}")

    async def _check_stays(self, model: str, sensitivity: Sensitivity) -> None:
        """That this host may be sent it; and of what is restricted, that the model runs there: an Ollama passes what it
        is asked of a cloud model on, whatever name that was copied to. Asked anew each time. Raises EngineFailed."""
        if sensitivity != "restricted":
            return
        check_local(self.local, sensitivity, url=self.url)
        try:
            shown = await self._shown(model)
        except Exception as error:
            raise typed_error(error, url=self.url, model=model) from error
        if passed_on(model) or shown.get("remote_host") or shown.get("remote_model"):
            to = shown.get("remote_host") or "Ollama's cloud"
            raise EngineFailed("restricted", f"{self.url} passes {model} on to {to}: use a model that it runs itself")

    async def _shown(self, model: str) -> dict[str, Any]:
        """All that the host says about a model: the client leaves out what it does not know."""
        import httpx
        import ollama

        async with httpx.AsyncClient(
            trust_env=False, timeout=PROBE_S, follow_redirects=False, auth=self.sign
        ) as client:
            answer = await client.post(f"{self.url}/api/show", json={"model": model})
        said = answer.json() if answer.content else {}
        if answer.status_code != 200 or not isinstance(said, dict):
            raise ollama.ResponseError(str(said), answer.status_code)
        return said

    async def chat(self, model: str, request: Generate, on_token: Progress) -> Answer:
        """One call, streamed. Raises EngineFailed. Cancelling it closes the connection, which stops the model."""
        check_budget(request, self.num_ctx)
        await self._check_stays(model, request.sensitivity)
        await self._check(model, request)
        patience = Patience(self.first_token, self.between_tokens)
        who = f"{self.url} with {model}"
        return await read_answer(self._pieces(model, request), request, on_token, patience=patience, who=who)

    async def _pieces(self, model: str, request: Generate) -> AsyncGenerator[Piece, None]:
        stream: Any = None
        said_calls = calls_so_far(request.messages)
        shape = plain(request.output_schema) if request.output_schema is not None else None
        try:
            stream = await self.client.chat(
                model=model,
                messages=messages_of(request.messages),
                tools=tools_of(request.tools),
                stream=True,
                format=shape,
                options={
                    "num_ctx": self.num_ctx,
                    "num_predict": request.max_tokens,
                    "temperature": request.temperature,
                    "seed": request.seed,
                },
            )
            async for part in stream:
                calls = calls_in(part.message.tool_calls or (), said=said_calls)
                said_calls += len(calls)
                said = Piece(part.message.content or "", part.message.thinking or "", tool_calls=calls)
                if part.done:
                    finish = "stop" if part.done_reason in (None, "stop") else "length"
                    tokens_in, tokens_out = part.prompt_eval_count or 0, part.eval_count or 0
                    yield replace(said, finish=finish, tokens_in=tokens_in, tokens_out=tokens_out)
                    return
                yield said
        except Exception as error:
            raise typed_error(error, url=self.url, model=model) from error
        finally:
            if stream is not None:
                await stream.aclose()

    async def embed(
        self, model: str, texts: Sequence[str], sensitivity: Sensitivity = USUAL
    ) -> list[tuple[float, ...]]:
        """A vector for each text. Raises EngineFailed."""
        await self._check_stays(model, sensitivity)
        try:
            reply = await self.client.embed(model=model, input=list(texts), truncate=True)
        except Exception as error:
            raise typed_error(error, url=self.url, model=model) from error
        return [tuple(vector) for vector in reply.embeddings]

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()  # type: ignore[no-untyped-call]  # the library's own


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
        if "does not support" in said or "required for image input" in said:
            return _unsupported(f"{url}: {said}")
        return EngineFailed("broken", f"{url} answered: {said} (status {error.status_code})")
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
        return EngineFailed("refused", f"{url} refused: {REFUSED}")
    if isinstance(error, httpx.TimeoutException):
        return EngineFailed("silent", f"{url} said nothing for too long: is the host overloaded?")
    if isinstance(error, httpx.HTTPError):
        return EngineFailed("broken", f"{url} broke off ({type(error).__name__}): is the server restarting?")
    return EngineFailed("broken", f"{url}: {type(error).__name__}: {error}: is this an Ollama server?")


def _unsupported(what: str) -> EngineFailed:
    return EngineFailed(
        "unsupported", f"{what}: name another model in WARREN_MODEL (`warren models show` says what each can)"
    )


def _parameters(size: str | None) -> float:
    """`8.0B` -> 8e9, `268.10M` -> 2.68e8."""
    scales = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
    text = (size or "").strip().upper()
    try:
        return float(text[:-1]) * scales[text[-1]] if text and text[-1] in scales else float(text or 0)
    except ValueError:
        return 0.0
