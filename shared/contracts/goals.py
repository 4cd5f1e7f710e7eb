"""Goals: between clients and the planner."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints

from shared.contracts.message import Command, Event, Reply, Value
from shared.contracts.report import Citation, ReportBundle
from shared.contracts.sensitivity import Sensitivity, sensitivity_field

MAX_STEPS = 12
GoalStatus = Literal["accepted", "planning", "researching", "writing", "done", "failed", "cancelled"]
ENDED: frozenset[str] = frozenset({"done", "failed", "cancelled"})
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
"""A corpus, namespace or agent: letters, digits, `_ . -`, at most 64 characters."""
StepName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]


class StepSpec(Value):
    """One step of a plan: a question for an agent, to be asked once the steps in `depends_on` are finished."""

    id: StepName
    question: str = Field(min_length=1, max_length=4000)
    agent: Name = "researcher"
    depends_on: tuple[StepName, ...] = ()


class Budget(Value):
    """What a goal may cost. `tokens`: of models, read and written. `seconds`: of model time. `steps`: how many times a
    step, the report included, may be given to a worker."""

    tokens: int | None = Field(default=None, gt=0)
    seconds: float | None = Field(default=None, gt=0)
    steps: int | None = Field(default=None, gt=0)


class SubmitGoal(Command, owner="planner", name="submit_goal"):
    """A goal, from any client. Only `goal` is required; the answer, where `reply_to` asks for one, is `GoalEnded`.

    `deadline_s`: seconds from acceptance. `priority`: 0 to 9, higher is sooner. `engine`: `auto`, `extractive`, or
    `provider/model`; anything but `auto` fails the goal rather than falling back. `reply_to`: AMQP's own property wins.
    `budget`: once it is spent, the goal fails with a partial report of what was found. `sensitivity`: what models are
    asked for a `restricted` goal reaches local hosts only, and its findings are not kept for other goals.
    """

    goal: str = Field(min_length=1, max_length=20_000)
    corpus: Name | tuple[Name, ...] = ()
    namespace: Name = "default"
    deadline_s: float | None = Field(default=None, gt=0, le=7 * 24 * 3600)
    priority: int = Field(default=3, ge=0, le=9)
    max_steps: int = Field(default=MAX_STEPS, ge=1, le=MAX_STEPS)
    steps: tuple[StepSpec, ...] | None = Field(default=None, max_length=MAX_STEPS)
    engine: str = Field(default="auto", max_length=200)
    reply_to: str | None = Field(default=None, max_length=255)
    budget: Budget | None = None
    sensitivity: Sensitivity = sensitivity_field()

    @property
    def corpora(self) -> tuple[str, ...]:
        return (self.corpus,) if isinstance(self.corpus, str) else self.corpus


class PreviewGoal(Command, owner="planner", name="preview_goal"):
    """What would this goal do? Answered by `GoalPreviewed`; nothing is stored, no model is called."""

    goal: SubmitGoal


class GoalPreviewed(Reply, owner="planner", name="goal_previewed"):
    """The plan, and the most model calls it can cost (0 with the extractive engine)."""

    steps: tuple[StepSpec, ...]
    model_calls: int
    engine: str
    engine_reason: str | None = None


class CancelGoal(Command, owner="planner", name="cancel_goal"):
    """Stop this goal. Answered by `Done` (count 0 when it had ended before)."""

    goal_id: str
    reason: str = "cancelled by request"


class GoalEnded(Reply, owner="planner", name="goal_ended"):
    """The one final answer to a `SubmitGoal` that asked for it. `goal_id` is null when the goal was refused.

    A goal that ran out of time or budget is `failed`, and `report` is what was found until then, if anything was."""

    goal_id: str | None
    status: Literal["done", "failed", "cancelled", "refused"]
    report: str | None = None
    citations: tuple[Citation, ...] = ()
    reason: str | None = None


class GoalEvent(Event, owner="planner", name="goal_event"):
    """One thing that happened to a goal. `seq` counts from 1 without gaps per goal; the planner's table is the truth.

    `event` is one of: goal_accepted, planning_started, plan_made, plan_rejected, engine_chosen, step_dispatched,
    step_claimed, step_redelivered, step_finished, step_failed, late_result_refused, writing_started, goal_completed,
    goal_failed, goal_cancelled, goal_retried, message_parked.
    """

    goal_id: str
    seq: int
    event: str
    at: datetime
    step: str | None = None
    worker: str | None = None
    data: dict[str, JsonValue] = Field(default_factory=dict)


class StepProgress(Event, owner="mesh", name="step_progress"):
    """A sign of life of running work, every two seconds or sooner; not stored. `text`: "143 tokens, 11/s"."""

    goal_id: str
    step: str
    worker: str
    text: str


class ListGoals(Command, owner="planner", name="list_goals"):
    """The newest goals, newest first. Answered by `GoalsListed`."""

    limit: int = Field(default=50, ge=1, le=1000)
    status: GoalStatus | None = None


class GoalSummary(Value):
    goal_id: str
    goal: str
    status: GoalStatus
    reason: str | None = None
    namespace: str = "default"
    engine: str | None = None
    created_at: datetime
    ended_at: datetime | None = None
    steps_done: int = 0
    steps: int = 0


class GoalsListed(Reply, owner="planner", name="goals_listed"):
    goals: tuple[GoalSummary, ...]


class ShowGoal(Command, owner="planner", name="show_goal"):
    """One goal, whole. `goal_id` may be a unique prefix of at least 4 characters. Answered by `GoalShown`."""

    goal_id: str = Field(min_length=4)


class StepView(Value):
    """One step as it stands. Seconds where a name ends in `_s`."""

    id: str
    question: str
    agent: str
    depends_on: tuple[str, ...]
    state: Literal["waiting", "ready", "running", "done", "failed", "dropped"]
    worker: str | None = None
    attempts: int = 0
    reason: str | None = None


class GoalShown(Reply, owner="planner", name="goal_shown"):
    """`bundle` is there once the goal has ended with a report (a partial one, if time or budget ran out)."""

    goal: GoalSummary
    steps: tuple[StepView, ...]
    bundle: ReportBundle | None = None


class EventsSince(Command, owner="planner", name="events_since"):
    """The stored events of a goal after sequence number `after`, oldest first. Answered by `EventsListed`."""

    goal_id: str
    after: int = Field(default=0, ge=0)
    limit: int = Field(default=500, ge=1, le=1000)


class EventsListed(Reply, owner="planner", name="events_listed"):
    goal_id: str
    status: GoalStatus
    events: tuple[GoalEvent, ...]
