"""A service that only notes what an agent does with it."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime

from shared.contracts.steps import (
    RunStep,
    StepClaimed,
    StepResult,
)
from shared.errors import Retryable
from shared.runtime.agent import Agent, StepContext, StepOutcome

NOW = datetime(2026, 11, 22, tzinfo=UTC)
STEP = RunStep(goal_id="g1", step="1", agent="researcher", goal="why?", question="why?", fence=7)
DEADLINE_S = 10.0


@dataclass
class FakeService:
    """Records what is published; `claim` answers ClaimStep; `break_on` makes publishing that event fail."""

    instance: str = "researcher-1"
    claim: StepClaimed | None = None
    break_on: type | None = None
    published: list[tuple[object, str, str]] = field(default_factory=list)
    asked: list[object] = field(default_factory=list)
    subscribed: dict = field(default_factory=dict)
    heard: dict = field(default_factory=dict)
    started: list = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def requests(self):
        return self

    @property
    def publisher(self):
        return self

    def subscribe(self, queue, message, handler):
        self.subscribed[queue.name, message] = handler

    def hear(self, message, handler):
        self.heard[message] = handler

    def background(self, work):
        self.started.append(work)

    async def ask(self, command, reply, *, deadline_s=10.0, cause=None):
        self.asked.append(command)
        return self.claim

    async def publish(self, message, *, subject, cause=None, message_id):
        if self.break_on and isinstance(message, self.break_on):
            raise Retryable("the broker did not confirm")
        async with self.news:
            self.published.append((message, subject, message_id))
            self.news.notify_all()

    async def saw(self, kind: type, *, count: int = 1) -> list:
        async with asyncio.timeout(DEADLINE_S), self.news:
            await self.news.wait_for(lambda: len(self.of(kind)) >= count)
        return self.of(kind)

    def of(self, kind: type) -> list:
        return [message for message, _, _ in self.published if isinstance(message, kind)]

    def ids_of(self, kind: type) -> list[str]:
        return [message_id for message, _, message_id in self.published if isinstance(message, kind)]


async def done(context: StepContext) -> StepOutcome:
    return StepOutcome(StepResult(step=context.step.step, question=context.step.question), engine="extractive")


def agent(service: FakeService, work=done, **more) -> Agent:
    return Agent(service, "researcher", work, clock=lambda: NOW, **more)
