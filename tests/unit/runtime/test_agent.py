"""An agent claims, renews, stops and finishes a step; the work itself is a function of the test."""

import asyncio
from datetime import timedelta

import pytest

from shared.contracts.evidence import Evidence
from shared.contracts.generation import CallKey, Embed, Generate, Generated, Inputs, Usage
from shared.contracts.goals import StepProgress, SubmitGoal
from shared.contracts.library import Search
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
from shared.runtime.agent import HELD_S, StepContext, StepOutcome
from tests.unit.runtime.agents import NOW, STEP, FakeService, agent, done


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


async def test_what_it_asks_has_the_level_of_its_step_whatever_the_work_says():
    """Of what an agent asks, an agent's author can forget nothing."""
    asked = (
        Generate(call=CallKey(goal_id="g1", step="1", purpose="chat"), messages=(), inputs=Inputs(question="why?")),
        Search(corpora=("a",), query="why?"),
        Embed(texts=("why?",), sensitivity="public"),
        SubmitGoal(goal="why?"),
    )
    service = FakeService(claim=Generated(call=asked[0].call, finish="stop", engine="ollama/m"))

    async def work(context: StepContext) -> StepOutcome:
        for command in asked:
            await context.ask(command, Generated)
        return await done(context)

    await agent(service, work).on_run_step(STEP.model_copy(update={"sensitivity": "restricted"}), Envelope())
    assert [type(command) for command in service.asked] == [Generate, Search, Embed, SubmitGoal]
    assert {command.sensitivity for command in service.asked} == {"restricted"}


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
