"""Re-drive: an ended goal runs again from a step, and keeps what stands."""

from pydantic import Field

from shared.contracts.goals import Budget, StepName
from shared.contracts.message import Command


class RetryGoal(Command, owner="planner", name="retry_goal"):
    """Run an ended goal again. Answered by `Done` at once; the goal's events tell the rest.

    `from_step`: this step and all that depends on it are done again, the results of the others are kept; null: all
    steps that failed or never ended, else the report. `engine`: another one than before, from now on. `budget`,
    `deadline_s`: other limits than before, from now on; what is null in `budget` stays as it was.

    A finished model call is not paid for again where the same is asked, but for a step that was done and is named here
    (or is the report): it is done anew. `fresh`: all are.
    """

    goal_id: str
    from_step: StepName | None = None
    engine: str | None = Field(default=None, min_length=1, max_length=200)
    budget: Budget | None = None
    deadline_s: float | None = Field(default=None, gt=0, le=7 * 24 * 3600)
    fresh: bool = False
