"""What the planner does with each message: load, decide, save, publish; all in one transaction."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.planner import budget
from services.planner.goal import Goal, Step
from services.planner.partial import out_of_time, wrap_up
from services.planner.plan import problems
from services.planner.progress import Progress
from services.planner.rows import replace
from services.planner.settings import Settings
from shared.contracts.goals import ENDED, CancelGoal, GoalEnded, SubmitGoal
from shared.contracts.message import Done, Message, Refused
from shared.contracts.sensitivity import as_sensitive, covered
from shared.contracts.steps import ClaimStep, RenewStep, StepClaimed, StepFinished
from shared.contracts.supervision import ChildDied
from shared.errors import AttemptsSpent, NotAllowed, Rejected
from shared.messaging.consume import refused
from shared.messaging.database import Unit
from shared.messaging.envelope import Envelope, reply_allowed
from shared.messaging.ids import goal_id_for


@dataclass(frozen=True)
class Handlers:
    """`clock` gives the time in UTC."""

    settings: Settings
    clock: Callable[[], datetime]

    def progress(self, unit: Unit) -> Progress:
        return Progress(unit, self.settings, self.clock())

    async def on_submit_goal(self, message: SubmitGoal, unit: Unit) -> None:
        """The answer is `GoalEnded`, when it has ended. Raises Rejected for steps that make no plan."""
        wrong = problems(message.steps, max_steps=message.max_steps) if message.steps is not None else []
        if wrong:
            raise Rejected(wrong[0], field=wrong[0].partition(":")[0])
        message = self.labelled(message)
        progress, envelope = self.progress(unit), unit.envelope
        goal_id = goal_id_for(envelope.user_id or "", envelope.message_id)
        if await progress.goals.get(goal_id):
            return
        deadline = timedelta(seconds=message.deadline_s) if message.deadline_s else self.settings.goal_deadline
        goal = Goal(
            goal_id=goal_id,
            submitted=message,
            reply=json.dumps(_requester(message, envelope)),
            created_at=progress.now,
            deadline_at=progress.now + deadline,
            messages=1,
        )
        progress.goals.add(goal)
        told = message.model_dump(include={"namespace", "sensitivity"})
        goal = await progress.event(goal, "goal_accepted", goal=message.goal[:500], **told)
        cancelled = await progress.goals.cancelled_early(goal_id)
        if cancelled is not None:
            await progress.end(goal, "cancelled", reason=cancelled)
        await progress.admit()

    def labelled(self, goal: SubmitGoal) -> SubmitGoal:
        """With the level that its corpora ask for."""
        restricted = covered(self.settings.restricted_corpora, goal.corpora)
        return as_sensitive(goal, "restricted") if restricted else goal

    async def on_claim_step(self, message: ClaimStep, unit: Unit) -> StepClaimed:
        """Who may work: a lease that is alive and somebody else's is respected, any other is taken over."""
        progress = self.progress(unit)
        goal, step = await self.step(progress, message.goal_id, message.run, message.step)
        if goal is None or step is None or goal.status in ENDED or step.state != "running":
            return StepClaimed(verdict="gone", reason="the goal or the step has ended")
        theirs = step.worker not in (None, message.worker)
        if theirs and step.lease_until and step.lease_until > progress.now:
            return StepClaimed(verdict="held", reason=f"{step.worker} works on it")
        steps = await progress.goals.steps(goal.goal_id, goal.run)
        over = None if goal.ending else budget.no_more_steps(goal, steps)
        if over:
            await wrap_up(progress, goal, over)
            return StepClaimed(verdict="gone", reason=over)
        step = replace(
            step,
            fence=step.fence + 1,
            attempts=step.attempts + 1,
            worker=message.worker,
            lease_until=progress.lease(),
        )
        progress.goals.save_step(step)
        await progress.event(
            goal, "step_redelivered", step=step.id, worker=message.worker, attempt=step.attempts, fence=step.fence
        )
        return StepClaimed(verdict="granted", fence=step.fence, deadline_at=goal.deadline_at)

    async def on_renew_step(self, message: RenewStep, unit: Unit) -> None:
        progress = self.progress(unit)
        goal, step = await self.step(progress, message.goal_id, message.run, message.step)
        if goal is None or step is None or step.state != "running" or step.fence != message.fence:
            return
        if step.worker is None:
            waited_s = (progress.now - (step.since or progress.now)).total_seconds()
            await progress.event(goal, "step_claimed", step=step.id, worker=message.worker, waited_s=round(waited_s, 3))
        progress.goals.save_step(replace(step, worker=message.worker, lease_until=progress.lease()))

    async def on_step_finished(self, message: StepFinished, unit: Unit) -> None:
        """Counts only with the lease's own fence token, and only once."""
        progress = self.progress(unit)
        goal, step = await self.step(progress, message.goal_id, message.run, message.step)
        if goal is None or goal.status in ENDED or (step is None and message.run == goal.run):
            return
        if step is None or step.state != "running" or step.fence != message.fence:
            await progress.event(
                goal, "late_result_refused", step=message.step, worker=message.worker, fence=message.fence
            )
            return
        result, failed = message.result, message.result.status == "failed"
        step = replace(
            step, state="failed" if failed else "done", result=result, usage=message.usage, reason=result.reason
        )
        step = replace(step, cut_short=message.cut_short)
        progress.goals.save_step(replace(step, worker=message.worker, lease_until=None))
        if message.engine:
            reason = message.engine_reason if step.is_write else goal.engine_reason
            goal = replace(goal, engine=message.engine, engine_reason=reason)
        usage = message.usage.model_dump()
        seconds = round((progress.now - (step.since or progress.now)).total_seconds(), 3)
        goal = await progress.event(
            replace(goal, messages=goal.messages + 1),
            "step_failed" if failed else "step_finished",
            step=step.id,
            worker=message.worker,
            findings=len(result.findings),
            seconds=seconds,
            **usage,
            **({"reason": result.reason} if result.reason else {}),
        )
        await self._after_step(progress, goal, step, message)

    async def _after_step(self, progress: Progress, goal: Goal, step: Step, message: StepFinished) -> None:
        if not step.is_write:
            await progress.advance(goal.goal_id)
            return
        if message.report and step.state == "done":
            await progress.written(goal, message.report)
            return
        steps = await progress.goals.steps(goal.goal_id, goal.run)
        over = goal.ending or progress.over(goal, steps)
        if step.cut_short or over:
            await wrap_up(progress, goal, over or budget.too_small(goal, steps))
            return
        await progress.end(goal, "failed", reason=f"the report could not be written: {step.reason or 'no reason'}")

    async def on_child_died(self, message: ChildDied, unit: Unit) -> None:
        """Ends the leases of a worker that is dead for certain: its redelivered steps need not wait for them."""
        progress = self.progress(unit)
        for step in await progress.goals.held_by(message.holder):
            progress.goals.save_step(replace(step, worker=None, lease_until=self._lost(progress)))

    async def on_cancel_goal(self, message: CancelGoal, unit: Unit) -> Done | Refused:
        """A cancellation may overtake its goal (which waits in a retry queue, say): it is kept until that comes."""
        progress = self.progress(unit)
        goal = await progress.goals.get(message.goal_id)
        if goal is None:
            await progress.goals.cancel_early(message.goal_id, message.reason, now=progress.now)
            reason, hint = f"no goal {message.goal_id} yet", "if it comes, it is cancelled; `warren goals` lists them"
            return Refused(error="no_goal", reason=reason, field="goal_id", hint=hint)
        if goal.status in ENDED:
            return Done(count=0)
        await progress.end(goal, "cancelled", reason=message.reason)
        return Done(count=1)

    async def on_tick(self, unit: Unit) -> None:
        """Time passes: deadlines end goals, steps that nobody claims are dispatched again, waiting goals may start."""
        progress = self.progress(unit)
        for goal_id in await progress.goals.overdue(progress.now):
            goal = await progress.goals.get(goal_id)
            if goal and goal.status not in ENDED:
                await wrap_up(progress, goal, out_of_time(goal))
        for step in await progress.goals.lapsed(progress.now):
            if step.worker is None:
                await progress.send(step.goal_id, step.run, step.id)
            else:
                progress.goals.save_step(replace(step, worker=None, lease_until=self._lost(progress)))
        await progress.admit()
        await progress.dispatch()

    def _lost(self, progress: Progress) -> datetime:
        """Nobody holds it: the broker redelivers what a dead worker held; if it never does, we dispatch again."""
        return progress.now + self.settings.lost_after

    async def step(self, progress: Progress, goal_id: str, run: int, step_id: str) -> tuple[Goal | None, Step | None]:
        goal = await progress.goals.get(goal_id)
        steps = await progress.goals.steps(goal_id, run) if goal and goal.run == run else []
        return goal, next((step for step in steps if step.id == step_id), None)


def _requester(message: SubmitGoal, envelope: Envelope) -> dict[str, str]:
    """Whom to answer: AMQP's own property wins over the field."""
    reply_to = envelope.reply_to or message.reply_to
    if message.reply_to and not reply_allowed(message.reply_to, envelope.user_id):
        raise NotAllowed(
            f"reply_to: replies cannot go to {message.reply_to!r}",
            field="reply_to",
            hint="name your own queue: client.<anything>",
        )
    known = {"message_id": envelope.message_id, "reply_to": reply_to, "correlation_id": envelope.correlation_id}
    return {name: value for name, value in known.items() if value}


def refuse(error: Rejected, envelope: Envelope) -> Message:
    """A goal that is refused gets the same kind of final answer as any other goal. One that we failed at, too; it is a
    dead letter, and put back it has the id that is told here."""
    kind = f"{SubmitGoal.name}."
    is_goal = envelope.type.startswith(kind) or f".{kind}" in envelope.routing_key
    if not is_goal:
        return refused(error)
    if isinstance(error, AttemptsSpent):
        goal_id = goal_id_for(envelope.user_id or "", envelope.message_id)
        return GoalEnded(goal_id=goal_id, status="failed", reason=error.reason)
    return GoalEnded(goal_id=None, status="refused", reason=error.reason)
