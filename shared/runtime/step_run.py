"""A step in the hands of an agent: what its work gets, says and gives back, and how it is stopped."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from shared.contracts.message import Command, Reply
from shared.contracts.report import WrittenReport
from shared.contracts.steps import RunStep, StepResult, StepUsage
from shared.runtime.spending import Spending

LET_GO_S = 5.0
"""How long cancelled work may take to clean up before its message is settled without it."""
ReplyT = TypeVar("ReplyT", bound=Reply)


class Ask(Protocol):
    """A request in the name of the step. Raises RequestFailed when it is refused, NoReply after the deadline."""

    async def __call__(self, command: Command, reply: type[ReplyT], *, deadline_s: float = 10.0) -> ReplyT: ...


@dataclass(frozen=True)
class StepContext:
    """What work gets: the step (its fence and deadline as granted), a way to ask others, and to say what goes on."""

    step: RunStep
    worker: str
    ask: Ask
    say: Callable[[str], None]


@dataclass(frozen=True)
class StepOutcome:
    """What work gives back. `engine`: what the result was thought with; `report`, and why it was that engine: from a
    write step only. `usage`: of work that pays for calls itself; what it asks of inference is counted anyway."""

    result: StepResult
    report: WrittenReport | None = None
    usage: StepUsage = field(default_factory=StepUsage)
    engine: str | None = None
    engine_reason: str | None = None


Work = Callable[[StepContext], Awaitable[StepOutcome]]
"""May run twice for the same step (a worker died before its ack); only a result with the valid fence counts."""


@dataclass
class StepRun:
    """A step in hand. `text` is what the next sign of life will say; `changed`: it should be said now."""

    step: RunStep
    spending: Spending
    text: str = "starting"
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: str | None = None
    stopping: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def say(self, text: str) -> None:
        self.text = text[:300]
        self.changed.set()

    def stop(self, reason: str) -> None:
        self.stopped = reason
        if not self.stopping.done():
            self.stopping.set_result(None)


def failed(step: RunStep, reason: str) -> StepOutcome:
    """A step that can never succeed, and why."""
    result = StepResult(step=step.step, question=step.question, status="failed", reason=reason[:2000])
    return StepOutcome(result)


async def let_go(*tasks: "asyncio.Task[object]") -> None:
    """Cancels until they end: Python 3.11's `wait_for` swallows a cancellation that meets its result."""
    loop, pending = asyncio.get_running_loop(), set(tasks)
    last = loop.time() + LET_GO_S
    while pending and loop.time() < last:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.1)
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()  # seen: asyncio need not complain that nobody looked
