"""Signs of life of a program that does not beat (the private broker): it is asked, and each answer is its beat."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from services.watchdog.liveness import Beat

EVERY_S = 2.0
"""From an answer to the next question: five fit into the silence that a broker is allowed."""
AGAIN_S = 0.5
"""From a refusal to the next question."""


@dataclass(frozen=True)
class Questions:
    """`answers`: asks once, True if there was an answer in time; it must not raise. `works`: the id of the process that
    answers, None if unknown; may read files."""

    answers: Callable[[], Awaitable[bool]]
    works: Callable[[], int | None]


@dataclass
class Answers:
    """What one process has answered so far."""

    questions: Questions
    works: int | None = None
    last: Beat | None = None

    async def listen(self) -> None:
        """Asks until cancelled. Its beats say alive, not ready: who is connected is another's to say."""
        while True:
            if self.works is None:
                self.works = await asyncio.to_thread(self.questions.works)
            answered = await self.questions.answers()
            if answered:
                self.last = Beat(time.monotonic(), ready=False)
            await asyncio.sleep(EVERY_S if answered else AGAIN_S)
