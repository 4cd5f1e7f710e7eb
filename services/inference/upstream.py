"""What the clients of model servers share: an answer read from a stream, time-outs on silence, the cut of a stream
that goes round in circles, leaked reasoning left out. The total is never limited here: slow machines are not dead."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from services.inference.generation import EngineFailed, repeats_from, tokens_guess, without_thinking
from shared.contracts.chat import ToolCall
from shared.contracts.generation import Generate

LOOK_EVERY = 16
"""Tokens between two looks for a stream that goes round in circles."""
PROBE_S = 3.0
IMAGE_TOKENS = 768
"""A guess, on the safe side for most: Gemma takes 256 for a picture, LLaVA 576."""


class Count(int):
    """The number of tokens so far, and what the last one added to the answer: nothing, where it was a thought."""

    text: str = ""

    @classmethod
    def of(cls, count: int, text: str) -> Count:
        counted = cls(count)
        counted.text = text
        return counted


Progress = Callable[[int], None]
"""Called with the `Count` of tokens at each one; a plain number where there is no text to show."""


@dataclass(frozen=True)
class Answer:
    """What a model said. `finish` is `length` when it was cut, by the limit of tokens or because it repeated itself.
    `thinking`: what it reasoned before, where the server keeps that apart."""

    text: str
    finish: str
    tokens_in: int
    tokens_out: int
    first_token_s: float
    total_s: float
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True)
class Piece:
    """A part of a stream. `finish`, on the last one with text or after it: `stop` or `length`. Counts where the
    server tells them, else 0. `calling`: characters of a tool call that has begun; `tool_calls`: whole ones."""

    text: str = ""
    thinking: str = ""
    finish: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    calling: str = ""
    tool_calls: tuple[ToolCall, ...] = ()

    @property
    def says(self) -> bool:
        """Did the model say anything?"""
        return bool(self.text or self.thinking or self.calling or self.tool_calls)


@dataclass(frozen=True)
class Patience:
    """How long a server may be silent: before the first token, loading included, and between two."""

    first_token: timedelta = timedelta(seconds=300)
    between_tokens: timedelta = timedelta(seconds=60)


def check_budget(request: Generate, context: int) -> None:
    """Servers cut a prompt that is too long without a word, or refuse it late. Raises EngineFailed before that."""
    asked = prompt_tokens(request)
    if asked + request.max_tokens > context:
        raise EngineFailed(
            "too_long",
            f"the prompt (about {asked} tokens) and its answer ({request.max_tokens}) do not fit {context}: "
            "ask with fewer passages, or raise WARREN_NUM_CTX",
        )


def prompt_of(request: Generate) -> str:
    """All that becomes text of the prompt: tools and their calls as well."""
    calls = (call.model_dump_json() for message in request.messages for call in message.tool_calls)
    tools = (tool.model_dump_json() for tool in request.tools)
    return "".join([*(message.content for message in request.messages), *calls, *tools])


def prompt_tokens(request: Generate) -> int:
    """About how many tokens a request has."""
    return tokens_guess(prompt_of(request)) + IMAGE_TOKENS * sum(len(message.images) for message in request.messages)


async def read_answer(
    stream: AsyncGenerator[Piece, None], request: Generate, on_token: Progress, *, patience: Patience, who: str
) -> Answer:
    """All of a stream, which is closed in any case: cancelling this closes the connection, which stops the model.
    `who`: the server, for errors. Raises EngineFailed."""
    began = time.monotonic()
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[ToolCall] = []
    seen, first_token_s, finish, usage = 0, 0.0, "", Piece()
    silence = patience.first_token
    try:
        while (piece := await _within(anext(stream, None), silence, who=who)) is not None:
            if piece.says:
                first_token_s = first_token_s or time.monotonic() - began
                silence = patience.between_tokens
                texts.append(piece.text)
                thoughts.append(piece.thinking)
                calls.extend(piece.tool_calls)
                seen += 1
                on_token(Count.of(seen, piece.text))
            finish = piece.finish or finish
            usage = piece if piece.tokens_in or piece.tokens_out else usage
            if seen and seen % LOOK_EVERY == 0 and not finish and (cut := repeats_from("".join(texts))) is not None:
                texts, finish = ["".join(texts)[:cut]], "length"
                break
    finally:
        await stream.aclose()
    if not finish:
        raise EngineFailed("broken", f"{who} broke off after {seen} tokens: is the server restarting?")
    return Answer(
        text=without_thinking("".join(texts)),
        finish=finish,
        tokens_in=usage.tokens_in or prompt_tokens(request),
        tokens_out=usage.tokens_out or seen,
        first_token_s=first_token_s,
        total_s=time.monotonic() - began,
        thinking="".join(thoughts),
        tool_calls=tuple(calls),
    )


async def _within(wait: Any, limit: timedelta, *, who: str) -> Any:
    try:
        async with asyncio.timeout(limit.total_seconds()):
            return await wait
    except TimeoutError:
        raise EngineFailed(
            "silent",
            f"{who} said nothing for {limit.total_seconds():.0f} s: "
            "too large for this machine? take a smaller model, or raise WARREN_FIRST_TOKEN",
        ) from None


async def listens(url: str, *, port: int) -> None:
    """Raises OSError when nothing listens there. `port` is taken where the address names none, nor its scheme."""
    parts = urlsplit(url if "//" in url else f"//{url}")
    at = parts.port or {"http": 80, "https": 443}.get(parts.scheme, port)
    _, writer = await asyncio.open_connection(parts.hostname, at)
    writer.close()
