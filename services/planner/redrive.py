"""An ended goal runs again: what stands is kept, the rest is planned, sent and paid for anew."""

from dataclasses import dataclass
from datetime import timedelta

from pydantic import JsonValue

from services.planner.goal import Goal, Step
from services.planner.handlers import Handlers
from services.planner.progress import Progress
from services.planner.rerun import again, next_run
from shared.contracts.goals import ENDED, Budget, SubmitGoal
from shared.contracts.message import Done
from shared.contracts.redrive import RetryGoal
from shared.errors import Rejected
from shared.messaging.database import Unit


@dataclass(frozen=True)
class Redrive:
    """`handlers`: for their settings and clock."""

    handlers: Handlers

    async def on_retry_goal(self, message: RetryGoal, unit: Unit) -> Done:
        """The goal waits for admission like a new one, in a run of its own: late results of the old run are refused.

        The engine and the corpora are looked at anew; a whole report that the goal has stays until a new one
        replaces it.
        """
        progress = self.handlers.progress(unit)
        goal = await progress.goals.get(message.goal_id)
        if goal is None:
            raise Rejected(f"no goal {message.goal_id}", field="goal_id", hint="`warren goals` lists them")
        if goal.status not in ENDED:
            raise Rejected(f"it has not ended, it is {goal.status}", field="goal_id", hint="`warren cancel` ends it")
        steps = await progress.goals.steps(goal.goal_id, goal.run)
        if message.from_step and message.from_step not in {step.id for step in steps}:
            known = ", ".join(step.id for step in steps) or "it was never planned, and will be planned anew"
            raise Rejected(f"no step {message.from_step!r}", field="from_step", hint=f"steps: {known}")
        ids = again(steps, message.from_step)
        goal = self._begun(goal, message, progress)
        if steps:
            progress.goals.add_steps(goal, next_run(steps, message.from_step, run=goal.run))
        await self._told(progress, goal, steps, ids, message)
        await progress.admit()
        return Done(count=len(ids))

    def _begun(self, goal: Goal, message: RetryGoal, progress: Progress) -> Goal:
        """As if it had been asked now, but for what it has been told and has cost, and the report that it has."""
        submitted = self.handlers.labelled(goal.submitted.model_copy(update=_changed(goal.submitted, message)))
        deadline = timedelta(seconds=submitted.deadline_s) if submitted.deadline_s else None
        return Goal(
            goal_id=goal.goal_id,
            submitted=submitted,
            reply="{}",  # whoever asked at first has had the one final answer
            created_at=progress.now,
            deadline_at=progress.now + (deadline or self.handlers.settings.goal_deadline),
            run=goal.run + 1,
            messages=goal.messages,
            last_seq=goal.last_seq,
            fresh=message.fresh,
            bundle=goal.bundle if goal.bundle and goal.bundle.status == "done" else None,
        )

    async def _told(
        self, progress: Progress, goal: Goal, steps: list[Step], ids: tuple[str, ...], message: RetryGoal
    ) -> None:
        begins = message.from_step or next(iter(ids), "plan")
        kept = sum(step.id not in ids for step in steps)
        data: dict[str, JsonValue] = {"run": goal.run, "from": begins, "again": list(ids), "kept": kept}
        changed = message.model_dump(mode="json", include={"engine", "budget", "deadline_s"}, exclude_none=True)
        await progress.event(goal, "goal_retried", **data, **changed)


def _changed(submitted: SubmitGoal, message: RetryGoal) -> dict[str, object]:
    """What the goal is asked with from now on, where that is something else than before."""
    changed: dict[str, object] = message.model_dump(include={"engine", "deadline_s"}, exclude_none=True)
    if message.budget is not None:
        limits = message.budget.model_dump(exclude_none=True)
        changed["budget"] = (submitted.budget or Budget()).model_copy(update=limits)
    return changed
