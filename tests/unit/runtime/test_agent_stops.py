"""What ends an agent's work before its end: a stop, a newer lease, a deadline."""

import asyncio
from datetime import timedelta

import pytest

from shared.contracts.steps import (
    ClaimStep,
    StepClaimed,
    StepFinished,
    StepsStopped,
)
from shared.errors import Cancelled, Deferred
from shared.messaging.envelope import Envelope
from shared.runtime.agent import StepContext, StepOutcome
from tests.unit.runtime.agents import DEADLINE_S, NOW, STEP, FakeService, agent, done


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
