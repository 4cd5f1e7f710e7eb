"""All answers of a goal's calls while they are written, from the side of a client that only looks on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from shared.contracts.generation import CallKey
from shared.contracts.message import Command, Done, Event, Message
from shared.contracts.stream import WANTED_S, ReadTokens, TokensRead, TokensWritten, WatchTokens
from shared.errors import NoReply
from shared.runtime.tokens import PATIENCE_S, RENEW_S, WAITING, Ended, Restarted, Text, TokenText

R = TypeVar("R", bound=Message)


class Asks(Protocol):
    """What is needed of a client."""

    async def ask(
        self, command: Command, reply: type[R], *, deadline_s: float = 10.0, message_id: str | None = None
    ) -> R: ...

    def watch(
        self, subject: str, *events: type[Event], most: int = 0
    ) -> AbstractAsyncContextManager[asyncio.Queue[Event]]: ...


@dataclass(frozen=True)
class Over:
    """This call has ended."""


GoalPiece = tuple[CallKey, Text | Restarted | Over]


async def goal_tokens(client: Asks, goal_id: str) -> AsyncGenerator[GoalPiece, None]:
    """What is written for a goal from now on, and of the calls that run, what they have written before; never ends by
    itself. The texts of a call since its last `Restarted` make up what it has written."""
    async with client.watch(goal_id, TokensWritten, most=4 * WAITING) as news:
        wishing = asyncio.create_task(_keep_wishing(client, goal_id))
        reader = _Calls(client)
        try:
            while True:
                event = await news.get()
                if isinstance(event, TokensWritten):
                    for piece in await reader.heard(event):
                        yield piece
        finally:
            wishing.cancel()
            await asyncio.gather(wishing, return_exceptions=True)


async def _keep_wishing(client: Asks, goal_id: str) -> None:
    while True:
        with contextlib.suppress(NoReply):  # inference is being restarted
            await client.ask(WatchTokens(goal_id=goal_id, for_s=WANTED_S), Done, deadline_s=PATIENCE_S)
        await asyncio.sleep(RENEW_S)


@dataclass
class _Calls:
    client: Asks
    _texts: dict[CallKey, TokenText] = field(default_factory=dict)
    _over: set[tuple[CallKey, int]] = field(default_factory=set)

    async def heard(self, event: TokensWritten) -> list[GoalPiece]:
        """What of it is news, with what was missing before it."""
        key, text = event.call, self._texts.setdefault(event.call, TokenText())
        found: list[Text | Restarted | Over] = [piece for piece in text.add(event) if not isinstance(piece, Ended)]
        if text.missing:
            found += await self._missing(key, text)
        if event.ended and (key, event.attempt) not in self._over:
            self._over.add((key, event.attempt))
            found.append(Over())
        return [(key, piece) for piece in found]

    async def _missing(self, key: CallKey, text: TokenText) -> list[Text | Restarted | Over]:
        have = {"attempt": text.attempt, "revision": text.revision, "after": len(text.text)}
        try:
            answer = await self.client.ask(ReadTokens(call=key, **have), TokensRead, deadline_s=RENEW_S)
        except NoReply:  # the next piece is missing something again
            return []
        found = text.end(answer.result) if answer.result else text.add(answer)
        return [piece for piece in found if not isinstance(piece, Ended)]
