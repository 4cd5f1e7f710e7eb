"""Being an agent: claim a step, renew its lease, stop when told, finish it. The same for our agents and for others'.

RunStep ── redelivered? ── claim ── granted ──> work ── done, failed ──> StepFinished, confirmed ──> ack
                             │ held: Deferred     │ StepsStopped: Cancelled (ack)
                             │ gone: Cancelled    │ Retryable: back to the retry queue, counted
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import structlog

from shared.contracts.generation import Generate, Generated
from shared.contracts.goals import StepProgress
from shared.contracts.message import MAX_BODY_BYTES, Command, Event
from shared.contracts.sensitivity import as_sensitive
from shared.contracts.steps import (
    AgentAnnounced,
    ClaimStep,
    RenewStep,
    RunStep,
    StepClaimed,
    StepFinished,
    StepsStopped,
)
from shared.crashpoints import reached
from shared.errors import Cancelled, Deferred, Rejected, RequestFailed, WarrenError
from shared.messaging.envelope import REASON, RETRIED, Envelope
from shared.messaging.ids import derived_id
from shared.messaging.topology import agent_queue
from shared.runtime.spending import Spending
from shared.runtime.step_run import ReplyT, StepContext, StepOutcome, StepRun, Work, failed, let_go

if TYPE_CHECKING:
    from shared.runtime.service import Service

__all__ = ["Agent", "StepContext", "StepOutcome", "Work"]
BEAT_S = 2.0
"""A sign of life at least this often while working."""
HELD_S = 2.0
"""When to ask again for a step that another worker holds: if that one died, its lease ends long before its time."""
STOPS_KEPT = 1000
"""The last goals that were stopped: their steps may still wait in our queue."""
log = structlog.get_logger()


@dataclass
class Agent:
    """Subscribes `work` to the queue of the agent `name`. `line`: what it does, in one line, for whoever plans.

    Work that raises Rejected, or whose request is refused, is a failed step: it can never succeed and must not hang
    its goal. Any other error goes the way of every message: retried with backoff, then a dead letter.
    """

    service: "Service"
    name: str
    work: Work
    line: str = ""
    lease: timedelta = timedelta(seconds=30)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _by_goal: dict[str, list[StepRun]] = field(default_factory=dict, init=False)
    _stopped: dict[str, int | None] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.service.subscribe(agent_queue(self.name), RunStep, self.on_run_step)
        self.service.hear(StepsStopped, self.on_steps_stopped)
        self.service.background(self.announce)

    async def announce(self) -> None:
        """Say that this agent is here. Twice is harmless; unheard as well: its queue is what counts."""
        try:
            await self._publish(AgentAnnounced(agent=self.name, line=self.line), subject=self.name)
        except WarrenError as error:
            log.warning("not_announced", agent=self.name, reason=error.reason)

    async def on_steps_stopped(self, message: StepsStopped, envelope: Envelope) -> None:
        """A goal was cancelled or has ended: our work stops at once, what waits in our queue is claimed first."""
        self._stopped.pop(message.goal_id, None)
        self._stopped[message.goal_id] = message.before_epoch
        while len(self._stopped) > STOPS_KEPT:
            self._stopped.pop(next(iter(self._stopped)))
        for run in self._by_goal.get(message.goal_id, []):
            if message.before_epoch is None or run.step.epoch < message.before_epoch:
                run.stop(message.reason)

    async def on_run_step(self, message: RunStep, envelope: Envelope) -> None:
        """Runs twice when this worker dies before the ack; the fence makes one of the two results count."""
        reached("step_received")
        self._one_at_a_time(message)
        step = message
        if _must_claim(envelope) or self._was_stopped(message):
            step = await self._claimed(message, envelope)
            self._one_at_a_time(step)  # another delivery of it may have been claimed and begun meanwhile
        run = StepRun(step, Spending(step))
        runs = self._by_goal.setdefault(step.goal_id, [])
        runs.append(run)
        try:
            outcome = await self._outcome(run, envelope)
            reached("before_result")
            await self._finish(run, outcome, envelope)
            reached("after_result")
        finally:
            runs.remove(run)
            if not runs:
                self._by_goal.pop(step.goal_id, None)

    def _one_at_a_time(self, step: RunStep) -> None:
        """A broker whose consumer time-out is over delivers a step again while we are still at it. It is not begun
        twice: it comes back until the one in hand has ended. A newer lease ends the one in hand: its result would be
        refused. Raises Deferred.
        """
        for run in self._by_goal.get(step.goal_id, []):
            if (run.step.run, run.step.step, run.step.epoch) != (step.run, step.step, step.epoch):
                continue
            if step.fence > run.step.fence:
                run.stop("it was given out anew")
            else:
                raise Deferred("this worker is at it already", delay_s=HELD_S)

    def _was_stopped(self, step: RunStep) -> bool:
        """Whether the planner has said so; it may have been begun again since, so the planner is asked."""
        before = self._stopped.get(step.goal_id)
        return step.goal_id in self._stopped and (before is None or step.epoch < before)

    async def _claimed(self, step: RunStep, envelope: Envelope) -> RunStep:
        claim = ClaimStep(goal_id=step.goal_id, run=step.run, step=step.step, worker=self.service.instance)
        claimed = await self.service.requests.ask(claim, StepClaimed, cause=envelope)
        if claimed.verdict == "gone":
            raise Cancelled(claimed.reason or "the step is not wanted any more")
        if claimed.verdict == "held":
            raise Deferred(claimed.reason or "another worker holds the lease", delay_s=HELD_S)
        return step.model_copy(update={"fence": claimed.fence, "deadline_at": claimed.deadline_at or step.deadline_at})

    async def _outcome(self, run: StepRun, envelope: Envelope) -> StepOutcome:
        step, left = run.step, None
        if step.deadline_at is not None:
            left = (step.deadline_at - self.clock()).total_seconds()
            if left <= 0:
                return failed(step, "its deadline was over before the work began")
        task = asyncio.create_task(self._worked(run, envelope))
        await asyncio.sleep(0)
        if task.done() and run.stopped is None:  # no sign of life is needed of what is done at once
            return task.result()
        pulse = asyncio.create_task(self._pulse(run, envelope))
        first: set[asyncio.Future[Any]] = {task, run.stopping}
        try:
            done, _ = await asyncio.wait(first, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await let_go(task, pulse)
        if run.stopped is not None:
            raise Cancelled(run.stopped)
        if task not in done:
            return failed(step, f"its deadline passed while it was at: {run.text}")
        return task.result()

    async def _worked(self, run: StepRun, envelope: Envelope) -> StepOutcome:
        async def ask(command: Command, reply: type[ReplyT], *, deadline_s: float = 10.0) -> ReplyT:
            command = as_sensitive(command, run.step.sensitivity)
            if isinstance(command, Generate):
                refusal = run.spending.refusal(command)
                if isinstance(refusal, reply):
                    return refusal
                command = run.spending.bounded(command).model_copy(update={"fresh": command.fresh or run.step.fresh})
            answer = await self.service.requests.ask(command, reply, deadline_s=deadline_s, cause=envelope)
            if isinstance(answer, Generated):
                run.spending.answers.append(answer)
            return answer

        try:
            return await self.work(StepContext(run.step, self.service.instance, ask, run.say))
        except (Rejected, RequestFailed) as error:
            log.warning("step_failed", reason=error.reason, goal_id=run.step.goal_id, step=run.step.step)
            return failed(run.step, error.reason)

    async def _pulse(self, run: StepRun, envelope: Envelope) -> None:
        """Renew the lease and show signs of life until cancelled. A broker that is away must not stop the work."""
        loop, third = asyncio.get_running_loop(), self.lease.total_seconds() / 3
        renewed = loop.time() - third  # at once: the planner learns who works on it
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(BEAT_S, third)):
                    await run.changed.wait()
            run.changed.clear()
            try:
                await self._publish(self._progress(run), subject=run.step.goal_id, cause=envelope)
                if loop.time() - renewed >= third * 0.9:
                    await self._publish(self._renewal(run.step), subject=run.step.goal_id, cause=envelope)
                    renewed = loop.time()
            except Exception as error:
                log.warning("pulse_not_published", reason=str(error), goal_id=run.step.goal_id)

    def _progress(self, run: StepRun) -> StepProgress:
        return StepProgress(goal_id=run.step.goal_id, step=run.step.step, worker=self.service.instance, text=run.text)

    def _renewal(self, step: RunStep) -> RenewStep:
        return RenewStep(
            goal_id=step.goal_id, run=step.run, step=step.step, fence=step.fence, worker=self.service.instance
        )

    async def _finish(self, run: StepRun, outcome: StepOutcome, envelope: Envelope) -> None:
        step, finished = run.step, self._finished(run, outcome)
        size = len(finished.encode())
        if size > MAX_BODY_BYTES:
            reason = f"its result has {size:,} bytes, more than {MAX_BODY_BYTES:,}"
            finished = self._finished(run, failed(step, reason))
        message_id = derived_id(step.goal_id, step.run, step.step, step.fence, finished.name)
        await self._publish(finished, subject=step.goal_id, cause=envelope, message_id=message_id)

    def _finished(self, run: StepRun, outcome: StepOutcome) -> StepFinished:
        step, spending = run.step, run.spending
        return StepFinished(
            goal_id=step.goal_id,
            run=step.run,
            step=step.step,
            fence=step.fence,
            worker=self.service.instance,
            result=outcome.result,
            report=outcome.report,
            usage=spending.usage if spending.answers else outcome.usage,
            engine=outcome.engine,
            engine_reason=outcome.engine_reason,
            cut_short=spending.cut_short,
        )

    async def _publish(
        self, event: Event, *, subject: str, cause: Envelope | None = None, message_id: str | None = None
    ) -> None:
        """Waits for the confirm. Signs of life get random ids: an inbox must not take a new one for an old one."""
        await self.service.publisher.publish(event, subject=subject, cause=cause, message_id=message_id or str(uuid4()))


def _must_claim(envelope: Envelope) -> bool:
    """Only an untouched first delivery may use the fence that it carries: its lease was made for it."""
    again = REASON in envelope.headers or RETRIED in envelope.headers
    return envelope.redelivered or envelope.suspect or envelope.attempt > 1 or again
