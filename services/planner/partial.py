"""A goal that ran out of time or budget: what was found until then is still written down, by quoting, at no cost.

The write step is given to the writer once more, in a new epoch, with the extractive engine and a short time of grace;
the goal ends as failed with that report when it comes back, or without one when the grace is over.
"""

from typing import TYPE_CHECKING

from services.planner.goal import OPEN_STATES, Goal
from services.planner.plan import WRITE_STEP
from services.planner.rows import replace
from shared.contracts.goals import ENDED
from shared.contracts.steps import StepsStopped

if TYPE_CHECKING:
    from services.planner.progress import Progress


async def wrap_up(progress: "Progress", goal: Goal, reason: str) -> None:
    """Stops the goal's work and has what there is written. With nothing found, or a second time, it just ends."""
    if goal.status in ENDED:
        return
    steps = await progress.goals.steps(goal.goal_id, goal.run)
    write = next((step for step in steps if step.is_write), None)
    found = any(step.result and step.result.findings for step in steps if not step.is_write)
    if goal.ending or write is None or not found:
        await progress.end(goal, "failed", reason=goal.ending or reason)
        return
    for step in steps:
        if step.state in OPEN_STATES and not step.is_write:
            stopped = replace(step, state="dropped", worker=None, lease_until=None, reason=f"stopped: {reason}")
            progress.goals.save_step(stopped)
    epoch = 1 + max(step.epoch for step in steps)
    progress.goals.save_step(replace(write, state="ready", since=progress.now, epoch=epoch, result=None))
    goal = replace(goal, ending=reason, status="writing", deadline_at=progress.now + progress.settings.partial_grace)
    await progress.event(goal, "writing_started", partial=reason)
    stop = StepsStopped(goal_id=goal.goal_id, reason=reason, before_epoch=epoch)
    progress.unit.publish(stop, subject=goal.goal_id)
    await progress.send(goal.goal_id, goal.run, WRITE_STEP)


def out_of_time(goal: Goal) -> str:
    """Why a goal whose deadline has passed is over."""
    return f"its deadline of {(goal.deadline_at - goal.created_at).total_seconds():g} s is over"
