"""Containers that do not beat, and say by a label how their life is known.

warren.supervise.asks: amqp:5672    this watchdog asks them, as it asks a private broker
warren.supervise.asks: health       Docker's health check does
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from services.watchdog import amqp_hello
from services.watchdog.amqp_hello import Answer
from services.watchdog.containers import Container
from services.watchdog.liveness import Beat
from services.watchdog.questions import Answers, Questions

ANSWER_TIMEOUT_S = 10.0
UNKNOWN_PID = 0


@dataclass
class _Talk:
    container: str
    answers: Answers
    task: asyncio.Task[None]


@dataclass
class AskedContainers:
    """`follow` hears of every change of a container. Found by their short ids, names that Docker gives them."""

    _talks: dict[str, _Talk] = field(default_factory=dict)  # by child id

    def follow(self, container: Container) -> None:
        """Begins to ask, goes on, or ends, as the container's state wants it."""
        talk, port = self._talks.get(container.child), amqp_port(container.asks)
        wanted = port is not None and container.running
        if talk and (not wanted or talk.container != container.id):
            del self._talks[container.child]
            talk.task.cancel()
            talk = None
        if talk is None and port is not None and wanted:
            answers = Answers(_questions(container.id[:12], port))
            task = asyncio.create_task(answers.listen())
            self._talks[container.child] = _Talk(container.id, answers, task)

    def beat(self, container: Container) -> Beat | None:
        """Its latest answer; None if it has given none since it runs."""
        talk = self._talks.get(container.child)
        last = talk and talk.answers.last
        return Beat(last.at, ready=container.health == "healthy") if last else None

    def asks(self, container: Container) -> bool:
        """Does this watchdog ask it by itself?"""
        return container.child in self._talks

    async def close(self) -> None:
        tasks = [talk.task for talk in self._talks.values()]
        self._talks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def amqp_port(asks: str | None) -> int | None:
    """The port in `amqp:PORT`; None for everything else."""
    protocol, _, port = (asks or "").partition(":")
    return int(port) if protocol == "amqp" and port.isdigit() else None


def _questions(host: str, port: int) -> Questions:
    async def lives() -> bool:
        """Without a network to it (ours may be the one that is cut) nothing is known against it."""
        return await amqp_hello.ask(host, port, timeout_s=ANSWER_TIMEOUT_S) is not Answer.SILENT

    return Questions(lives, lambda: UNKNOWN_PID)
