"""A step that outlasts the broker's consumer time-out: the broker takes it from its worker and delivers it again.

RabbitMQ, the oldest and the newest, with a time-out of 2 s instead of 30 minutes (and a look at it every half second
instead of every minute); a real planner, and agents whose work waits for the test.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from services.planner import app
from services.planner.settings import Settings
from shared.contracts.evidence import Finding
from shared.contracts.generation import DescribeEngine, EngineDescribed
from shared.contracts.goals import EventsListed, EventsSince, GoalEnded, GoalEvent, StepSpec, SubmitGoal
from shared.contracts.report import WrittenReport
from shared.contracts.steps import RunStep, StepResult
from shared.messaging.envelope import REASON, Envelope
from shared.messaging.topology import INFERENCE
from shared.runtime.agent import Agent, StepContext, StepOutcome
from shared.runtime.client import Client
from shared.runtime.service import Service
from shared.runtime.settings import MeshSettings
from shared.testing.fault_proxy import FaultProxy
from tests.integration.brokers import container_broker, private_broker
from tests.integration.scratch import running
from tests.integration.wire import wire_to

DEADLINE_S = 40.0
SHORT_3_10 = "-rabbit consumer_timeout 2000 -rabbit channel_tick_interval 500"
SHORT_4_3 = '{"consumer-timeout": 2000}'  # the lesser of this and the queue's own argument holds
GOAL = SubmitGoal(goal="What is a lease?", steps=(StepSpec(id="a", question="What is a lease?"),))
T = TypeVar("T")


@pytest.fixture(scope="module", params=["host", "container"])
def impatient_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home: Path = tmp_path_factory.mktemp("impatient")
    host = request.param == "host"
    with private_broker(home, erl_args=SHORT_3_10) if host else container_broker(policy=SHORT_4_3) as url:
        yield url


class WatchedAgent(Agent):
    """Tells of every delivery of a step, before anything is made of it."""

    async def on_run_step(self, message: RunStep, envelope: Envelope) -> None:
        DELIVERIES[self.service.instance].put_nowait(envelope)
        await super().on_run_step(message, envelope)


DELIVERIES: defaultdict[str, "asyncio.Queue[Envelope]"] = defaultdict(asyncio.Queue)


@dataclass
class Worker:
    """An agent whose steps end when the test says so. `begun`: the steps that it has begun."""

    name: str
    begun: "asyncio.Queue[RunStep]" = field(default_factory=asyncio.Queue)
    may: asyncio.Event = field(default_factory=asyncio.Event)
    count: int = 0

    def service(self, url: str, home: Path, agent: str) -> Service:
        service = Service(agent, MeshSettings(home=home, amqp_url=url, instance=self.name))
        WatchedAgent(service, agent, self.work)
        return service

    async def work(self, context: StepContext) -> StepOutcome:
        self.count += 1
        self.begun.put_nowait(context.step)
        await self.may.wait()
        step = context.step
        finding = Finding(text=f"found by {self.name}", evidence_ids=())
        result = StepResult(step=step.step, question=step.question, findings=(finding,))
        found = ", ".join(finding.text for result in step.inputs for finding in result.findings)
        return StepOutcome(result, report=WrittenReport(report=found) if step.step == "write" else None)

    async def delivered_again(self) -> None:
        """Waits for a delivery that is not the first."""
        while not (envelope := await soon(DELIVERIES[self.name])).suspect and REASON not in envelope.headers:
            pass


async def soon(queue: "asyncio.Queue[T]") -> T:
    return await asyncio.wait_for(queue.get(), DEADLINE_S)


@dataclass
class Mesh:
    """`goal`: its final answer."""

    stack: AsyncExitStack
    url: str
    home: Path
    client: Client
    writer: Worker

    async def add(self, name: str, agent: str = "researcher", *, url: str | None = None) -> Worker:
        worker = Worker(name)
        await self.stack.enter_async_context(running(worker.service(url or self.url, self.home, agent)))
        return worker

    async def events(self, goal_id: str, event: str) -> list[GoalEvent]:
        listed = await self.client.ask(EventsSince(goal_id=goal_id), EventsListed, deadline_s=DEADLINE_S)
        return [told for told in listed.events if told.event == event]


async def describe(message: DescribeEngine, _: Envelope) -> EngineDescribed:
    return EngineDescribed(engine="extractive")


@asynccontextmanager
async def mesh_on(url: str, home: Path, *, lease_s: float = 30.0) -> AsyncIterator[Mesh]:
    """A planner, somebody who says which engine there is, and a writer whose steps end at once."""
    DELIVERIES.clear()
    lease, tick = timedelta(seconds=lease_s), timedelta(seconds=0.2)
    planner = app.build(Settings(home=home, amqp_url=url, instance="planner-1", lease=lease, tick=tick))
    inference = Service("inference", MeshSettings(home=home, amqp_url=url, instance="inference-1"))
    inference.subscribe(INFERENCE, DescribeEngine, describe)
    async with AsyncExitStack() as stack:
        async with wire_to(url):  # everything is declared, and empty
            pass
        for service in (planner, inference):
            await stack.enter_async_context(running(service))
        client = await stack.enter_async_context(Client.connect(url, timeout_s=DEADLINE_S))
        mesh = Mesh(stack, url, home, client, Worker(""))
        mesh.writer = await mesh.add("writer-1", "writer")
        yield mesh


async def test_a_worker_that_gets_its_step_again_while_it_is_at_it_does_not_begin_it_twice(
    impatient_url: str, tmp_path: Path
) -> None:
    async with mesh_on(impatient_url, tmp_path) as mesh:
        worker = await mesh.add("researcher-1")
        mesh.writer.may.set()
        answer = asyncio.create_task(mesh.client.ask(GOAL, GoalEnded, deadline_s=DEADLINE_S))
        step = await soon(worker.begun)
        for _ in range(2):
            await worker.delivered_again()
        assert not answer.done()
        worker.may.set()
        ended = await answer
        assert (ended.status, ended.report) == ("done", "found by researcher-1")
        assert worker.count == 1
        assert len(await mesh.events(step.goal_id, "step_finished")) == 2, "this step, and the report"


async def test_another_worker_that_gets_it_leaves_it_to_the_one_that_holds_the_lease(
    impatient_url: str, tmp_path: Path
) -> None:
    async with mesh_on(impatient_url, tmp_path) as mesh:
        first = await mesh.add("researcher-1")
        mesh.writer.may.set()
        answer = asyncio.create_task(mesh.client.ask(GOAL, GoalEnded, deadline_s=DEADLINE_S))
        await soon(first.begun)
        second = await mesh.add("researcher-2")
        await second.delivered_again()
        first.may.set()
        assert (await answer).report == "found by researcher-1"
        assert (first.count, second.count) == (1, 0)


async def test_work_goes_on_while_its_connection_breaks(impatient_url: str, tmp_path: Path) -> None:
    async with mesh_on(impatient_url, tmp_path) as mesh, FaultProxy.to(impatient_url) as proxy:
        worker = await mesh.add("researcher-1", url=proxy.url)
        mesh.writer.may.set()
        answer = asyncio.create_task(mesh.client.ask(GOAL, GoalEnded, deadline_s=DEADLINE_S))
        await soon(worker.begun)
        proxy.cut()
        await worker.delivered_again()
        worker.may.set()
        assert (await answer).report == "found by researcher-1"
        assert worker.count == 1


async def test_the_late_result_of_a_lost_lease_is_refused_and_the_valid_one_counts(
    impatient_url: str, tmp_path: Path
) -> None:
    """The first worker's network is away: it cannot renew, the broker takes its step away, another one claims it."""
    async with mesh_on(impatient_url, tmp_path, lease_s=3) as mesh, FaultProxy.to(impatient_url) as proxy:
        first = await mesh.add("researcher-1", url=proxy.url)
        mesh.writer.may.set()
        answer = asyncio.create_task(mesh.client.ask(GOAL, GoalEnded, deadline_s=2 * DEADLINE_S))
        lost = await soon(first.begun)
        proxy.hold()
        second = await mesh.add("researcher-2")
        valid = await soon(second.begun)
        assert valid.fence > lost.fence
        first.may.set()
        proxy.release()
        async with asyncio.timeout(DEADLINE_S):
            while not await mesh.events(lost.goal_id, "late_result_refused"):
                pass
        second.may.set()
        ended = await answer
        assert (ended.status, ended.report) == ("done", "found by researcher-2")
        assert first.count == second.count == 1
