"""`warren watch --tokens`: what the models of a goal write, on stdout, one call after another."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.contracts.generation import CallKey
from shared.runtime.goal_tokens import GoalPiece, Over, goal_tokens
from shared.runtime.tokens import Restarted

if TYPE_CHECKING:
    from services.cli.connection import MeshClient
    from services.cli.follow import Follower

SILENT_S = 10.0
"""A call that says nothing for so long makes room for another one that does."""


@dataclass
class OneAtATime:
    """The texts of calls that run at once as one text: each as a whole if it can be. Pure; times in seconds."""

    _shown: CallKey | None = None
    _spoke_at: float = 0.0
    _waiting: dict[CallKey, str] = field(default_factory=dict)
    _over: set[CallKey] = field(default_factory=set)

    def add(self, piece: GoalPiece, *, now: float) -> str:
        """What is to be printed now."""
        key, what = piece
        if isinstance(what, Over):
            self._over.add(key)
        elif isinstance(what, Restarted):
            self._over.discard(key)
            self._waiting[key] = "\n(restarted)\n" if key == self._shown else ""
        else:
            self._waiting[key] = self._waiting.get(key, "") + what.text
        if self._shown is None or (key != self._shown and now - self._spoke_at > SILENT_S):
            return self._turn_to(key, now)
        return self._say(now) if key == self._shown else ""

    def rest(self) -> str:
        """What nobody has seen yet, when the goal is over."""
        said = self._waiting.pop(self._shown, "") if self._shown else ""
        return said + "".join(_head(key) + self._waiting.pop(key) for key in list(self._waiting) if self._waiting[key])

    def _turn_to(self, key: CallKey, now: float) -> str:
        self._shown = key
        return _head(key) + self._say(now)

    def _say(self, now: float) -> str:
        """What the call that is shown has said; if that is all, what the next one has."""
        key = self._shown
        assert key is not None
        said, self._spoke_at = self._waiting.pop(key, ""), now
        if key not in self._over:
            return said
        self._shown = None
        follower = next((other for other, text in self._waiting.items() if text), None)
        return said + "\n" + (self._turn_to(follower, now) if follower else "")


def _head(key: CallKey) -> str:
    return f"\n-- {key.step}: {key.purpose}\n"


async def show_text(client: MeshClient, follower: Follower, write: Callable[[str], object] | None = None) -> None:
    """Until the goal ends."""
    printed = write or _print
    order, loop = OneAtATime(), asyncio.get_running_loop()

    async def reading() -> None:
        async with contextlib.aclosing(goal_tokens(client, follower.goal_id)) as pieces:
            async for piece in pieces:
                printed(order.add(piece, now=loop.time()))

    task = asyncio.create_task(reading())
    try:
        async for _ in follower:
            if task.done():
                task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        printed(order.rest())


def _print(text: str) -> None:
    if text:
        sys.stdout.write(text)
        sys.stdout.flush()
