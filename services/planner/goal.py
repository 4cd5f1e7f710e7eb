"""A goal and its steps as the planner keeps them, and what may follow from their state. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from services.planner.plan import WRITE_STEP
from services.planner.rows import replace
from shared.contracts.goals import GoalStatus, GoalSummary, StepSpec, StepView, SubmitGoal
from shared.contracts.report import ReportBundle, Stats, WrittenReport
from shared.contracts.steps import RunStep, StepResult, StepUsage

StepState = Literal["waiting", "ready", "running", "done", "failed", "dropped"]
OPEN_STATES: frozenset[str] = frozenset({"waiting", "ready", "running"})


@dataclass(frozen=True)
class Goal:
    """A row of `goals`. `reply` is the envelope of the message that submitted it, for the one final answer."""

    goal_id: str
    submitted: SubmitGoal
    reply: str
    created_at: datetime
    deadline_at: datetime
    status: GoalStatus = "accepted"
    ended_at: datetime | None = None
    reason: str | None = None
    engine: str | None = None
    engine_reason: str | None = None
    run: int = 1
    plan_attempts: int = 0
    corpora_open: bool = False
    watermark: int = 0
    messages: int = 0
    last_seq: int = 0
    bundle: ReportBundle | None = None
    planning: StepUsage = field(default_factory=StepUsage)
    fresh: bool = False
    """Model calls of this run are paid for anew."""
    ending: str | None = None
    """Why it will end as failed: time or budget ran out, and only the partial report is waited for."""


@dataclass(frozen=True)
class Step:
    """A row of `steps`. `fence` rises with every lease; `worker` is set once somebody works on it. `part_tokens`,
    `part_s`: its part of the goal's budget; `cut_short`: that part was too small. `fresh`: its model calls are paid
    for anew."""

    goal_id: str
    run: int
    position: int
    spec: StepSpec
    state: StepState = "waiting"
    since: datetime | None = None
    fence: int = 0
    worker: str | None = None
    lease_until: datetime | None = None
    attempts: int = 0
    result: StepResult | None = None
    usage: StepUsage = field(default_factory=StepUsage)
    reason: str | None = None
    epoch: int = 0
    part_tokens: int | None = None
    part_s: float | None = None
    cut_short: bool = False
    fresh: bool = False

    @property
    def id(self) -> str:
        return self.spec.id

    @property
    def is_write(self) -> bool:
        return self.spec.id == WRITE_STEP


def steps_of(goal: Goal, plan: Sequence[StepSpec]) -> list[Step]:
    """The plan's steps and, after all of them, the one write step."""
    write = StepSpec(
        id=WRITE_STEP,
        question=goal.submitted.goal[:4000],
        agent="writer",
        depends_on=tuple(step.id for step in plan),
    )
    return [Step(goal.goal_id, goal.run, n, spec) for n, spec in enumerate([*plan, write])]


def now_ready(steps: Sequence[Step], now: datetime) -> list[Step]:
    """Waiting steps whose dependencies have all ended, well or badly, as ready ones."""
    ended = {step.id for step in steps if step.state not in OPEN_STATES}
    return [
        replace(step, state="ready", since=now)
        for step in steps
        if step.state == "waiting" and set(step.spec.depends_on) <= ended
    ]


def nothing_to_write(steps: Iterable[Step]) -> str | None:
    """Why there can be no report: every step before the write step failed. The first one's reason, else None."""
    asked = [step for step in steps if not step.is_write]
    failed = [step for step in asked if step.state == "failed"]
    if asked and len(failed) == len(asked):
        return f"every step failed, first {failed[0].id}: {failed[0].reason}"
    return None


def inputs_of(step: Step, steps: Sequence[Step]) -> tuple[StepResult, ...]:
    """The results of the steps that this one depends on, failed ones included, so that a report can say so."""
    needed = [other for other in steps if other.id in step.spec.depends_on]
    return tuple(other.result or _no_result(other) for other in needed)


def run_step(goal: Goal, step: Step, steps: Sequence[Step]) -> RunStep:
    """What its agent is told to do."""
    submitted = goal.submitted
    return RunStep(
        goal_id=goal.goal_id,
        run=step.run,
        step=step.id,
        epoch=step.epoch,
        agent=step.spec.agent,
        goal=submitted.goal,
        question=submitted.goal if step.id == WRITE_STEP else step.spec.question,
        fence=step.fence,
        namespace=submitted.namespace,
        corpora=submitted.corpora,
        watermark=goal.watermark,
        priority=submitted.priority,
        engine="extractive" if goal.ending else submitted.engine,
        engine_reason=goal.engine_reason,
        inputs=inputs_of(step, steps),
        deadline_at=goal.deadline_at,
        budget_tokens=step.part_tokens,
        budget_s=step.part_s,
        fresh=step.fresh or goal.fresh,
        sensitivity=submitted.sensitivity,
    )


def _no_result(step: Step) -> StepResult:
    return StepResult(step=step.id, question=step.spec.question, status="failed", reason=step.reason or "not done")


def bundle_of(
    goal: Goal, report: WrittenReport, steps: Sequence[Step], *, now: datetime, failed: str | None = None
) -> ReportBundle:
    """`report.json`: what the writer handed over, with the goal and what it took. `failed`: why it is a partial one."""
    told = report.model_dump()
    if failed:
        told["report"] = f"**Partial report:** {failed}. It says what was found until then.\n\n{report.report}"
    return ReportBundle(
        **told,
        goal_id=goal.goal_id,
        goal=goal.submitted.goal,
        status="failed" if failed else "done",
        engine=goal.engine,
        engine_reason=goal.engine_reason,
        stats=Stats(
            citations=len(report.citations),
            verified=len(report.citations),
            steps=len(steps),
            messages=goal.messages,
            tokens_in=goal.planning.tokens_in + sum(step.usage.tokens_in for step in steps),
            tokens_out=goal.planning.tokens_out + sum(step.usage.tokens_out for step in steps),
            seconds=round((now - goal.created_at).total_seconds(), 3),
        ),
    )


def summary_of(goal: Goal, steps: Sequence[Step]) -> GoalSummary:
    return GoalSummary(
        goal_id=goal.goal_id,
        goal=goal.submitted.goal,
        status=goal.status,
        reason=goal.reason,
        namespace=goal.submitted.namespace,
        engine=goal.engine,
        created_at=goal.created_at,
        ended_at=goal.ended_at,
        steps_done=sum(step.state == "done" for step in steps),
        steps=len(steps),
    )


def view_of(step: Step) -> StepView:
    return StepView(
        id=step.id,
        question=step.spec.question,
        agent=step.spec.agent,
        depends_on=step.spec.depends_on,
        state=step.state,
        worker=step.worker,
        attempts=step.attempts,
        reason=step.reason,
    )
