"""An agent claims, renews, stops and finishes a step; the work itself is a function of the test."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from shared.contracts.evidence import Evidence
from shared.contracts.generation import CallKey, Generate, Generated, Inputs, Usage
from shared.contracts.goals import StepProgress
from shared.contracts.steps import (
    AgentAnnounced,
    ClaimStep,
    RenewStep,
    RunStep,
    StepClaimed,
    StepFinished,
    StepResult,
    StepsStopped,
)
from shared.errors import Cancelled, Deferred, Rejected, RequestFailed, Retryable
from shared.messaging.envelope import ATTEMPT, REASON, RETRIED, Envelope
from shared.messaging.topology import RESEARCHER
from shared.runtime.agent import HELD_S, Agent, StepContext, StepOutcome

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


async def test_a_first_delivery_works_with_the_fence_that_it_carries():
    service = FakeService()
    await agent(service).on_run_step(STEP, Envelope())
    assert service.asked == []
    (finished,) = service.of(StepFinished)
    assert (finished.fence, finished.worker, finished.engine) == (7, "researcher-1", "extractive")
    assert finished.result.status == "done"


async def test_the_same_step_done_twice_sends_the_same_id_and_another_fence_another():
    service = FakeService()
    researcher = agent(service)
    await researcher.on_run_step(STEP, Envelope())
    await researcher.on_run_step(STEP, Envelope())
    await researcher.on_run_step(STEP.model_copy(update={"fence": 8}), Envelope())
    first, second, third = service.ids_of(StepFinished)
    assert first == second != third


@pytest.mark.parametrize(
    "envelope",
    [
        Envelope(redelivered=True),
        Envelope(suspect=True),
        Envelope(headers={ATTEMPT: 2}),
        Envelope(headers={REASON: "x"}),
        Envelope(headers={RETRIED: 1}),
    ],
    ids=["redelivered", "suspect", "second attempt", "back from the retry queue", "a dead letter put back"],
)
async def test_anything_but_an_untouched_first_delivery_is_claimed(envelope):
    later = NOW + timedelta(hours=1)
    service = FakeService(claim=StepClaimed(verdict="granted", fence=9, deadline_at=later))
    seen = []

    async def work(context: StepContext) -> StepOutcome:
        seen.append(context.step)
        return await done(context)

    await agent(service, work).on_run_step(STEP, envelope)
    assert service.asked == [ClaimStep(goal_id="g1", run=1, step="1", worker="researcher-1")]
    assert (seen[0].fence, seen[0].deadline_at) == (9, later)
    assert service.of(StepFinished)[0].fence == 9


@pytest.mark.parametrize(("verdict", "error"), [("held", Deferred), ("gone", Cancelled)])
async def test_a_step_that_is_held_or_gone_is_not_worked_on(verdict, error):
    service = FakeService(claim=StepClaimed(verdict=verdict))

    async def work(context: StepContext) -> StepOutcome:
        raise AssertionError("must not run")

    with pytest.raises(error) as raised:
        await agent(service, work).on_run_step(STEP, Envelope(redelivered=True))
    assert service.of(StepFinished) == []
    assert getattr(raised.value, "delay_s", HELD_S) == HELD_S


@pytest.mark.parametrize("error", [Rejected("no such engine"), RequestFailed("no such engine", kind="rejected")])
async def test_work_that_can_never_succeed_is_a_failed_step_with_the_reason(error):
    service = FakeService()

    async def work(context: StepContext) -> StepOutcome:
        raise error

    await agent(service, work).on_run_step(STEP, Envelope())
    (finished,) = service.of(StepFinished)
    assert (finished.result.status, finished.result.reason) == ("failed", "no such engine")


@pytest.mark.parametrize("error", [Retryable("memory is away"), ZeroDivisionError()])
async def test_work_that_may_succeed_later_goes_back_to_the_queue(error):
    service = FakeService()

    async def work(context: StepContext) -> StepOutcome:
        raise error

    with pytest.raises(type(error)):
        await agent(service, work).on_run_step(STEP, Envelope())
    assert service.of(StepFinished) == []


async def test_while_it_works_it_renews_its_lease_and_says_what_it_does():
    service, finish = FakeService(), asyncio.Event()

    async def work(context: StepContext) -> StepOutcome:
        context.say("reading 3 passages")
        await finish.wait()
        return await done(context)

    researcher = agent(service, work, lease=timedelta(milliseconds=60))
    running = asyncio.create_task(researcher.on_run_step(STEP, Envelope()))
    renewals = await service.saw(RenewStep, count=3)
    assert {renewal.fence for renewal in renewals} == {7}
    assert len(set(service.ids_of(RenewStep))) == len(service.of(RenewStep)), "an inbox would drop a repeated id"
    assert {sign.text for sign in service.of(StepProgress)} == {"reading 3 passages"}
    finish.set()
    await running
    after = len(service.published)
    await asyncio.gather(*(t for t in asyncio.all_tasks() if t is not asyncio.current_task()))
    assert len(service.published) == after, "nothing is published once the step is finished"


async def test_a_broker_that_is_away_does_not_stop_the_work():
    service, finish = FakeService(break_on=StepProgress), asyncio.Event()

    async def work(context: StepContext) -> StepOutcome:
        await finish.wait()
        return await done(context)

    researcher = agent(service, work, lease=timedelta(milliseconds=30))
    running = asyncio.create_task(researcher.on_run_step(STEP, Envelope()))
    service.break_on = StepProgress
    finish.set()
    await running
    assert len(service.of(StepFinished)) == 1


async def test_a_stopped_goal_stops_its_work_at_once_and_no_other():
    service, started = FakeService(), asyncio.Queue()
    finish = asyncio.Event()

    async def work(context: StepContext) -> StepOutcome:
        started.put_nowait(context.step.goal_id)
        await finish.wait()
        return await done(context)

    researcher = agent(service, work)
    stopped = asyncio.create_task(researcher.on_run_step(STEP, Envelope()))
    other = asyncio.create_task(researcher.on_run_step(STEP.model_copy(update={"goal_id": "g2"}), Envelope()))
    async with asyncio.timeout(DEADLINE_S):
        assert {await started.get(), await started.get()} == {"g1", "g2"}
        await researcher.on_steps_stopped(StepsStopped(goal_id="g1", reason="cancelled by you"), Envelope())
        with pytest.raises(Cancelled, match="cancelled by you"):
            await stopped
        finish.set()
        await other
    assert [finished.goal_id for finished in service.of(StepFinished)] == ["g2"]


async def test_a_step_that_waited_while_its_goal_was_stopped_is_claimed_before_it_is_begun():
    service = FakeService(claim=StepClaimed(verdict="gone", reason="cancelled"))
    researcher = agent(service)
    await researcher.on_steps_stopped(StepsStopped(goal_id="g1", reason="cancelled by you"), Envelope())
    with pytest.raises(Cancelled, match="cancelled"):
        await researcher.on_run_step(STEP, Envelope())
    assert service.asked == [ClaimStep(goal_id="g1", run=1, step="1", worker="researcher-1")]
    await researcher.on_run_step(STEP.model_copy(update={"goal_id": "g2"}), Envelope())
    assert len(service.of(StepFinished)) == 1


async def test_a_stop_of_older_epochs_leaves_the_newer_work_alone():
    service, started, finish = FakeService(), asyncio.Event(), asyncio.Event()

    async def work(context: StepContext) -> StepOutcome:
        started.set()
        await finish.wait()
        return await done(context)

    researcher = agent(service, work)
    running = asyncio.create_task(researcher.on_run_step(STEP.model_copy(update={"epoch": 1}), Envelope()))
    async with asyncio.timeout(DEADLINE_S):
        await started.wait()
        await researcher.on_steps_stopped(StepsStopped(goal_id="g1", reason="time", before_epoch=1), Envelope())
        finish.set()
        await running
    assert len(service.of(StepFinished)) == 1


async def test_a_step_that_comes_again_while_it_is_in_hand_is_not_begun_twice():
    service, started, finish = FakeService(), asyncio.Queue(), asyncio.Event()

    async def work(context: StepContext) -> StepOutcome:
        started.put_nowait(context.step.fence)
        await finish.wait()
        return await done(context)

    researcher = agent(service, work)
    running = asyncio.create_task(researcher.on_run_step(STEP, Envelope()))
    async with asyncio.timeout(DEADLINE_S):
        assert await started.get() == 7
        with pytest.raises(Deferred, match="at it already"):
            await researcher.on_run_step(STEP, Envelope(redelivered=True))
        assert service.asked == [], "a claim would take the lease from the one in hand"
        finish.set()
        await running
    assert [finished.fence for finished in service.of(StepFinished)] == [7]


async def test_a_step_that_was_given_out_anew_ends_the_older_one_in_hand():
    service, started, finish = FakeService(), asyncio.Queue(), asyncio.Event()

    async def work(context: StepContext) -> StepOutcome:
        started.put_nowait(context.step.fence)
        await finish.wait()
        return await done(context)

    researcher = agent(service, work)
    older = asyncio.create_task(researcher.on_run_step(STEP, Envelope()))
    async with asyncio.timeout(DEADLINE_S):
        assert await started.get() == 7
        newer = asyncio.create_task(researcher.on_run_step(STEP.model_copy(update={"fence": 8}), Envelope()))
        assert await started.get() == 8
        with pytest.raises(Cancelled, match="given out anew"):
            await older
        finish.set()
        await newer
    assert [finished.fence for finished in service.of(StepFinished)] == [8]


async def test_model_calls_are_counted_bounded_and_refused_by_the_steps_part_of_the_budget():
    key = CallKey(goal_id="g1", step="1", purpose="research")
    paid = Generated(call=key, finish="stop", engine="ollama/m", usage=Usage(tokens_in=60, tokens_out=40))
    service = FakeService(claim=paid)
    answers = []

    async def work(context: StepContext) -> StepOutcome:
        for _ in range(2):
            request = Generate(call=key, messages=(), inputs=Inputs(question="why?"))
            answers.append(await context.ask(request, Generated))
        return await done(context)

    await agent(service, work).on_run_step(STEP.model_copy(update={"budget_tokens": 150}), Envelope())
    (asked,) = service.asked
    assert asked.max_tokens == 149
    assert [a.finish for a in answers] == ["stop", "failed"]
    (finished,) = service.of(StepFinished)
    assert (finished.usage.calls, finished.usage.tokens_in, finished.cut_short) == (1, 60, True)


async def test_work_that_swallows_a_cancellation_is_cancelled_again():
    service, started, swallowed = FakeService(), asyncio.Event(), []

    async def work(context: StepContext) -> StepOutcome:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            swallowed.append(True)
        await asyncio.Event().wait()
        return await done(context)

    researcher = agent(service, work)
    running = asyncio.create_task(researcher.on_run_step(STEP, Envelope()))
    async with asyncio.timeout(DEADLINE_S):
        await started.wait()
        await researcher.on_steps_stopped(StepsStopped(goal_id="g1", reason="over"), Envelope())
        with pytest.raises(Cancelled, match="over"):
            await running
    assert swallowed == [True]


async def test_a_step_whose_deadline_is_over_fails_without_being_worked_on():
    service = FakeService()

    async def work(context: StepContext) -> StepOutcome:
        raise AssertionError("must not run")

    await agent(service, work).on_run_step(STEP.model_copy(update={"deadline_at": NOW}), Envelope())
    (finished,) = service.of(StepFinished)
    assert finished.result.status == "failed"
    assert "deadline" in finished.result.reason


async def test_work_stops_when_its_deadline_passes_and_says_where_it_was():
    service = FakeService()

    async def work(context: StepContext) -> StepOutcome:
        context.say("waiting for a model")
        await asyncio.Event().wait()
        return await done(context)

    step = STEP.model_copy(update={"deadline_at": NOW + timedelta(milliseconds=20)})
    async with asyncio.timeout(DEADLINE_S):
        await agent(service, work).on_run_step(step, Envelope())
    assert service.of(StepFinished)[0].result.reason == "its deadline passed while it was at: waiting for a model"


async def test_a_result_that_no_message_can_carry_is_a_failed_step():
    service = FakeService()
    quote = Evidence(evidence_id="e", source="s" * 2000, sha256="0" * 64, start=0, end=1, quote="q")

    async def work(context: StepContext) -> StepOutcome:
        return StepOutcome(StepResult(step="1", question="why?", evidence=(quote,) * 1000))

    await agent(service, work).on_run_step(STEP, Envelope())
    (finished,) = service.of(StepFinished)
    assert finished.result.status == "failed"
    assert "bytes" in finished.result.reason


async def test_it_listens_on_its_own_queue_hears_stops_and_announces_itself():
    service = FakeService()
    researcher = agent(service, line="answers questions")
    assert service.subscribed == {(RESEARCHER.name, RunStep): researcher.on_run_step}
    assert service.heard == {StepsStopped: researcher.on_steps_stopped}
    (announce,) = service.started
    await announce()
    assert service.of(AgentAnnounced) == [AgentAnnounced(agent="researcher", line="answers questions")]
