"""A goal that runs again pays only for what it has not asked before: counted at a model server, beside the mesh.

Real planner and inference on real brokers; agents of the test, which ask as the shipped ones do.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.inference import app as inference
from services.inference.settings import Settings as InferenceSettings
from services.planner import app as planner
from services.planner.settings import Settings as PlannerSettings
from shared.contracts.evidence import Finding
from shared.contracts.generation import CallKey, ChatMessage, Generate, Generated, Inputs
from shared.contracts.goals import GoalEnded, GoalEvent, StepSpec, SubmitGoal
from shared.contracts.message import Done
from shared.contracts.redrive import RetryGoal
from shared.contracts.report import WrittenReport
from shared.contracts.steps import StepResult
from shared.errors import Rejected
from shared.messaging.ids import goal_id_for
from shared.runtime.agent import Agent, StepContext, StepOutcome
from shared.runtime.client import Client
from shared.runtime.service import Service
from shared.runtime.settings import MeshSettings
from shared.testing.stub_ollama import StubOllama
from tests.integration.scratch import running
from tests.integration.wire import DEADLINE_S, wire_to

STEPS = (StepSpec(id="a", question="What is a lease?"), StepSpec(id="b", question="What is a fence?"))


@dataclass
class Agents:
    """Each step asks the model twice. `broken`: steps that fail between their two calls."""

    broken: set[str] = field(default_factory=set)

    async def work(self, context: StepContext) -> StepOutcome:
        step = context.step
        for ordinal in (0, 1):
            if ordinal and step.step in self.broken:
                raise Rejected("the engine went away")
            call = CallKey(
                goal_id=step.goal_id,
                run=step.run,
                step=step.step,
                epoch=step.epoch,
                purpose="research",
                ordinal=ordinal,
            )
            messages = (ChatMessage(role="user", content=f"{ordinal}: {step.question}"),)
            request = Generate(call=call, engine=step.engine, messages=messages, inputs=Inputs(question=step.question))
            answer = await context.ask(request, Generated, deadline_s=DEADLINE_S)
            assert answer.call == call
        finding = Finding(text="found", evidence_ids=())
        result = StepResult(step=step.step, question=step.question, findings=(finding,))
        return StepOutcome(result, report=WrittenReport(report="r") if step.step == "write" else None)


@dataclass
class Counted:
    """A mesh whose model calls are counted. `paid`: since it was asked last."""

    client: Client
    stub: StubOllama
    agents: Agents
    goal_id: str = ""

    def paid(self) -> int:
        count = len(self.stub.calls)
        self.stub.calls.clear()
        return count

    async def ask(self) -> GoalEnded:
        goal = SubmitGoal(goal="What is a lease?", steps=STEPS, engine="ollama/stub")
        self.goal_id = goal_id_for(self.client.user, "m1")
        return await self.client.ask(goal, GoalEnded, deadline_s=DEADLINE_S, message_id="m1")

    async def retry(self, **how: Any) -> str:
        """The event that ends it."""
        async with self.client.watch(self.goal_id, GoalEvent) as events:
            await self.client.ask(RetryGoal(goal_id=self.goal_id, **how), Done, deadline_s=DEADLINE_S)
            retried = False
            while True:
                event = await events.get()
                if not isinstance(event, GoalEvent):
                    continue
                # Answers leave before events: the end of the run before may still come.
                retried |= event.event == "goal_retried"
                if retried and event.event in ("goal_completed", "goal_failed"):
                    return event.event


@pytest.fixture
async def counted(amqp_url: str, tmp_path: Path) -> AsyncIterator[Counted]:
    agents = Agents()
    where = {"home": tmp_path, "amqp_url": amqp_url}
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(wire_to(amqp_url))  # queues are there, and empty
        stub = await stack.enter_async_context(StubOllama.listening())
        services = [
            planner.build(PlannerSettings(**where, instance="planner-1")),
            inference.build(
                # what the ledger alone keeps from being paid: these goals ask in the same words
                InferenceSettings(**where, ollama_urls=stub.url, model="ollama/stub", cache_kept=timedelta(0))
            ),
        ]
        for name in ("researcher", "writer"):
            services.append(Service(name, MeshSettings(**where, instance=f"{name}-1")))
            Agent(services[-1], name, agents.work)
        for service in services:
            await stack.enter_async_context(running(service))
        client = await stack.enter_async_context(Client.connect(amqp_url, timeout_s=DEADLINE_S))
        yield Counted(client, stub, agents)


async def test_a_failed_step_tried_again_pays_only_for_what_it_had_not_asked(counted: Counted) -> None:
    counted.agents.broken = {"a", "b", "write"}
    ended = await counted.ask()
    assert (ended.status, counted.paid()) == ("failed", 2), "the first call of each step"
    counted.agents.broken = {"b"}
    assert await counted.retry() == "goal_completed"
    assert counted.paid() == 1 + 0 + 2, "the second one of a, none of b, which failed again, and the report"
    counted.agents.broken = set()
    assert await counted.retry() == "goal_completed"
    assert counted.paid() == 1 + 0, "the second one of b; the report is asked for in the same words"


async def test_what_is_wanted_anew_is_paid_for_anew(counted: Counted) -> None:
    assert (await counted.ask()).status == "done"
    assert counted.paid() == 6
    assert await counted.retry(from_step="b") == "goal_completed"
    assert counted.paid() == 2, "b was done and is named; the report is asked for in the same words"
    assert await counted.retry(from_step="b", fresh=True) == "goal_completed"
    assert counted.paid() == 4
