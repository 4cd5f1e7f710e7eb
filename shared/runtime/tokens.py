"""A model's answer while it is written, from the side of a client: pieces put together by their offsets, what is
missing asked for. The text is right at its end whatever was lost, doubled or cut on the way."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.contracts.generation import CallKey, Generate, Generated
from shared.contracts.message import Event
from shared.contracts.stream import WANTED_S, ReadTokens, TokensRead, TokensWritten
from shared.errors import NoReply

if TYPE_CHECKING:
    from shared.runtime.client import Client

WAITING = 64
"""Events that may wait for whoever reads; then the oldest give way, and what they said is asked for by its offset."""
QUIET_S, LONG_QUIET_S = 1.0, 5.0
"""Silence after which inference is asked what there is; twice as long each time that there was nothing."""
RENEW_S = WANTED_S / 3
PATIENCE_S = 10.0


@dataclass(frozen=True)
class Text:
    """What comes next of the answer."""

    text: str


@dataclass(frozen=True)
class Restarted:
    """What came so far is void: the answer begins anew."""

    attempt: int
    revision: int = 0


@dataclass(frozen=True)
class Ended:
    """The call is over. `result.finish` says how."""

    result: Generated


TokenPiece = Text | Restarted | Ended


@dataclass
class TokenText:
    """The text so far. Pure: takes what comes in any order, any number of times. `missing`: something came that has a
    place beyond what is here."""

    attempt: int = 0
    revision: int = 0
    text: str = ""
    missing: bool = False

    def add(self, piece: TokensWritten | TokensRead) -> list[TokenPiece]:
        """What of it is news."""
        mine, at = (self.attempt, self.revision), (piece.attempt, piece.revision)
        if at < mine:
            return []
        news: list[TokenPiece] = self._restarted(*at) if at > mine else []
        if piece.offset > len(self.text):
            self.missing = True
        elif more := piece.text[len(self.text) - piece.offset :]:
            self.text += more
            self.missing = False
            news.append(Text(more))
        return news

    def end(self, result: Generated) -> list[TokenPiece]:
        """The answer itself says what was missing. Of a failed call there is none."""
        news: list[TokenPiece] = []
        if result.finish != "failed":
            if not result.text.startswith(self.text):
                news = self._restarted(self.attempt, self.revision + 1)
            if more := result.text[len(self.text) :]:
                self.text += more
                news.append(Text(more))
        return [*news, Ended(result)]

    def _restarted(self, attempt: int, revision: int) -> list[TokenPiece]:
        begun = bool(self.text)
        self.attempt, self.revision, self.text = attempt, revision, ""
        return [Restarted(attempt, revision)] if begun else []


async def follow(client: Client, call: Generate | CallKey, *, deadline_s: float) -> AsyncGenerator[TokenPiece, None]:
    """See `Client.tokens`."""
    key = call.call if isinstance(call, Generate) else call
    async with client.watch(key.goal_id, TokensWritten, most=WAITING) as news:
        asked = None
        if isinstance(call, Generate):
            streamed = call.model_copy(update={"stream": True})
            asked = asyncio.create_task(client.ask(streamed, Generated, deadline_s=deadline_s))
        began = time.monotonic()
        reader = _Reader(client, key, news, asked, give_up_at=began + deadline_s)
        if asked:  # which says already that we want to hear of it
            reader.ask_at = began + QUIET_S
            reader.renew_at = began + RENEW_S
        try:
            while not reader.over:
                for piece in _joined(await reader.more()):
                    yield piece
        finally:
            await reader.close()


@dataclass
class _Reader:
    """`asked`: where this client has made the call; its reply is the end."""

    client: Client
    key: CallKey
    news: asyncio.Queue[Event]
    asked: asyncio.Task[Generated] | None
    give_up_at: float
    over: bool = False
    ask_at: float = 0.0
    renew_at: float = 0.0
    _text: TokenText = field(default_factory=TokenText)
    _question: asyncio.Task[TokensRead] | None = None
    _arrived: asyncio.Task[Event] | None = None
    _quiet_s: float = QUIET_S

    async def more(self) -> list[TokenPiece]:
        """Waits until something happens; perhaps nothing that anybody has to know."""
        self._ask_in_time()
        arrived = self._arrived = self._arrived or asyncio.create_task(self.news.get())
        waits = {task for task in (arrived, self.asked, self._question) if task}
        wait_s = max(0.0, min(self.ask_at, self.give_up_at) - time.monotonic())
        await asyncio.wait(waits, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        if self.asked and self.asked.done():
            return self._end(await self.asked)
        found: list[TokenPiece] = []
        if arrived.done():
            found += self._heard(arrived.result())
            self._arrived = None
            while not self.news.empty():
                found += self._heard(self.news.get_nowait())
        if self._question and self._question.done():
            found += self._answered(self._question)
            self._question = None
        if not self.over and time.monotonic() > self.give_up_at:
            raise NoReply(f"the call of {self.key.step} has not ended in time")
        return found

    def _ask_in_time(self) -> None:
        """What is missing at once; else after a silence, and before the wish to hear is forgotten."""
        if self._question is None and (self._text.missing or time.monotonic() >= self.ask_at):
            have = self._text
            question = ReadTokens(
                call=self.key, attempt=have.attempt, revision=have.revision, after=len(have.text), for_s=WANTED_S
            )
            self._question = asyncio.create_task(self.client.ask(question, TokensRead, deadline_s=PATIENCE_S))
            self.ask_at = time.monotonic() + self._quiet_s
            self.renew_at = time.monotonic() + RENEW_S
            self._quiet_s = min(LONG_QUIET_S, self._quiet_s * 2)

    def _heard(self, event: Event) -> list[TokenPiece]:
        if not isinstance(event, TokensWritten) or event.call != self.key:
            return []
        found = self._text.add(event)
        self._quiet_s = QUIET_S
        self.ask_at = min(self.renew_at, time.monotonic() + QUIET_S)
        if event.ended and self.asked is None:
            self.ask_at = 0.0
        return found

    def _answered(self, question: asyncio.Task[TokensRead]) -> list[TokenPiece]:
        with contextlib.suppress(NoReply):  # inference is being restarted: asked again
            answer = question.result()
            if answer.state == "done" and answer.result and self.asked is None:
                return self._end(answer.result)
            found = self._text.add(answer)
            self._text.missing = False
            return found
        return []

    def _end(self, result: Generated) -> list[TokenPiece]:
        self.over = True
        return self._text.end(result)

    async def close(self) -> None:
        tasks = [task for task in (self.asked, self._question, self._arrived) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _joined(pieces: list[TokenPiece]) -> list[TokenPiece]:
    """Texts that follow each other as one: to whoever reads slowly they come together."""
    found: list[TokenPiece] = []
    for piece in pieces:
        if isinstance(piece, Text) and found and isinstance(found[-1], Text):
            found[-1] = Text(found[-1].text + piece.text)
        else:
            found.append(piece)
    return found
