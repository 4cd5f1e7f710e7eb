"""What follows from what happened to a goal: saved, published and told as events, all in the unit of one message.

accepted ── admitted ──> planning ── plan made, corpora open ──> researching ── all asked ──> writing ──> done
    └──────────────────────────┴── any of them ──> failed (with a reason) | cancelled
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import JsonValue

from services.planner import budget
from services.planner.dispatch import Ready, choose
from services.planner.goal import (
    OPEN_STATES,
    Goal,
    Step,
    bundle_of,
    nothing_to_write,
    now_ready,
    run_step,
    steps_of,
)
from services.planner.partial import out_of_time, wrap_up
from services.planner.plan import deterministic_plan
from services.planner.prompt import plan_request
from services.planner.rows import replace
from services.planner.settings import Settings
from services.planner.store import Goals
from shared.contracts.findings import Remember
from shared.contracts.generation import DescribeEngine
from shared.contracts.goals import ENDED, GoalEnded, GoalEvent, StepSpec
from shared.contracts.library import OpenCorpora
from shared.contracts.message import Command
from shared.contracts.report import WrittenReport
from shared.contracts.steps import StepsStopped, step_key
from shared.messaging.database import Unit
from shared.messaging.envelope import Envelope
from shared.messaging.ids import derived_id
from shared.messaging.topology import PLANNER


@dataclass
class Progress:
    """A view of the planner within one unit: `goals` are the unit's own, `now` is fixed."""

    unit: Unit
    settings: Settings
    now: datetime

    def __post_init__(self) -> None:
        self.goals = self.unit.state(Goals)

    async def event(self, goal: Goal, event: str, /, **data: JsonValue) -> Goal:
        """Records and publishes the goal's next event; returns the goal with its counters raised, saved."""
        step, worker = data.pop("step", None), data.pop("worker", None)
        told = GoalEvent(
            goal_id=goal.goal_id,
            seq=goal.last_seq + 1,
            event=event,
            at=self.now,
            step=step if isinstance(step, str) else None,
            worker=worker if isinstance(worker, str) else None,
            data=data,
        )
        goal = replace(goal, last_seq=told.seq, messages=goal.messages + 1)
        out = self.unit.publish(told, subject=goal.goal_id)
        assert out is not None  # it is no reply
        self.goals.add_event(told, out.body)
        self.goals.save(goal)
        return goal

    def ask(self, command: Command, goal: Goal, *, ordinal: int = 0) -> None:
        """A request whose reply comes to the planner's own work queue, where any replica can take it."""
        identity = derived_id(goal.goal_id, goal.run, command.name, ordinal)
        out = self.unit.stamp.outgoing(command, message_id=identity, cause=self.unit.envelope, subject=goal.goal_id)
        self.unit.publish_as(replace(out, reply_to=PLANNER.name))

    async def admit(self) -> None:
        """Starts accepted goals as far as `active_goals` allows."""
        free = self.settings.active_goals - await self.goals.active()
        if free <= 0:
            return
        waiting = [Ready((r.goal_id,), r.namespace, r.priority, r.created_at) for r in await self.goals.accepted()]
        for chosen in choose(waiting, running=(), free=free, now=self.now):
            goal = await self.goals.get(chosen.key[0])
            if goal and goal.status == "accepted":
                await self.plan(goal)

    async def plan(self, goal: Goal) -> None:
        """Asks which engine there is and whether the corpora exist; the plan follows from the answers. What is built in
        is always there: a goal that names it is not kept waiting for an answer."""
        goal = await self.event(replace(goal, status="planning"), "planning_started")
        submitted = goal.submitted
        if submitted.corpora:
            self.ask(OpenCorpora(goal_id=goal.goal_id, corpora=submitted.corpora), goal)
        goal = replace(goal, corpora_open=not submitted.corpora)
        self.goals.save(goal)
        if submitted.engine == budget.FREE:
            await self.engine_chosen(goal, budget.FREE)
        else:
            self.ask(DescribeEngine(engine=submitted.engine, sensitivity=submitted.sensitivity), goal)

    async def engine_chosen(self, goal: Goal, engine: str, *, reason: str | None = None) -> None:
        goal = replace(goal, engine=engine, engine_reason=reason)
        goal = await self.event(goal, "engine_chosen", engine=engine, reason=reason)
        await self.make_plan(goal)

    async def make_plan(self, goal: Goal) -> None:
        """The goal's own steps, or a model's, or the deterministic ones; a goal that runs again has its plan."""
        if await self.goals.steps(goal.goal_id, goal.run):
            await self.research(goal)
            return
        if goal.submitted.steps:
            await self.planned(goal, goal.submitted.steps, by="goal")
        elif goal.engine and goal.engine != budget.FREE:
            await self.ask_for_plan(goal)
        else:
            await self.planned_deterministically(goal)

    async def ask_for_plan(self, goal: Goal, *, wrong: str | None = None, answer: str | None = None) -> None:
        """Of the model; where the budget has no room for that, the deterministic plan."""
        request = budget.bounded(goal, plan_request(goal, wrong=wrong, answer=answer))
        if request is None:
            await self.planned_deterministically(goal)
            return
        self.goals.save(goal)
        self.ask(request.model_copy(update={"fresh": goal.fresh}), goal, ordinal=goal.plan_attempts)

    async def planned_deterministically(self, goal: Goal) -> None:
        plan = deterministic_plan(goal.submitted.goal, max_steps=goal.submitted.max_steps)
        await self.planned(goal, plan, by="rules")

    async def planned(self, goal: Goal, plan: Sequence[StepSpec], *, by: str) -> None:
        """`by`: goal, model or rules."""
        steps = steps_of(goal, plan)
        self.goals.add_steps(goal, steps)
        told: list[JsonValue] = [
            {"id": s.id, "question": s.spec.question, "agent": s.spec.agent, "depends_on": list(s.spec.depends_on)}
            for s in steps
        ]
        goal = await self.event(goal, "plan_made", by=by, steps=told)
        await self.research(goal)

    async def research(self, goal: Goal) -> None:
        """Once there are an engine and a plan, and the corpora are open."""
        steps = await self.goals.steps(goal.goal_id, goal.run)
        if steps and goal.engine and goal.corpora_open and goal.status == "planning":
            self.goals.save(replace(goal, status="researching"))
            await self.advance(goal.goal_id)

    async def advance(self, goal_id: str) -> None:
        """After a step ended (or the first time): what is ready now, what is to be written, what is over."""
        goal = await self.goals.get(goal_id)
        if goal is None or goal.status in ENDED:
            return
        steps = await self.goals.steps(goal_id, goal.run)
        over = self.over(goal, steps)
        if over:
            await wrap_up(self, goal, over)
            return
        ready = now_ready(steps, self.now)
        if any(step.is_write for step in ready):
            if any(step.cut_short for step in steps):
                ready = [replace(step, state="ready", since=self.now) for step in budget.again(goal, steps)]
                if not ready:
                    await wrap_up(self, goal, budget.too_small(goal, steps))
                    return
            elif reason := nothing_to_write(steps):
                await self.end(goal, "failed", reason=reason)
                return
            else:
                goal = await self.event(replace(goal, status="writing"), "writing_started")
        for step in ready:
            self.goals.save_step(step)
        await self.dispatch()

    def over(self, goal: Goal, steps: Sequence[Step]) -> str | None:
        """Why nothing more may be begun for this goal: its time is over, or its tokens or seconds are spent."""
        return out_of_time(goal) if goal.deadline_at <= self.now else budget.spent(goal, steps)

    async def dispatch(self) -> None:
        """Ready steps of all goals onto the wire, a window per agent."""
        by_agent: dict[str, list[Ready]] = {}
        there = await self.goals.open_steps()
        for row in there:
            if row.state == "ready":
                key = (row.goal_id, str(row.run), row.step)
                found = Ready(key, row.namespace, row.priority, row.since or self.now)
                by_agent.setdefault(row.agent, []).append(found)
        for agent, ready in by_agent.items():
            shares = [row.namespace for row in there if row.agent == agent and row.state == "running"]
            free = self.settings.window - len(shares)
            for chosen in choose(ready, running=shares, free=free, now=self.now):
                await self.send(chosen.key[0], int(chosen.key[1]), chosen.key[2])

    async def send(self, goal_id: str, run: int, step_id: str) -> None:
        """One step to its agent, with a new fence token: any result with an older one is refused from now on."""
        goal = await self.goals.get(goal_id)
        steps = await self.goals.steps(goal_id, run)
        step = next((s for s in steps if s.id == step_id), None)
        if goal is None or step is None or goal.status in ENDED or step.state not in ("ready", "running"):
            return
        over = None if goal.ending else budget.no_more_steps(goal, steps)
        if over:
            await wrap_up(self, goal, over)
            return
        step = replace(
            step, state="running", fence=step.fence + 1, attempts=step.attempts + 1, worker=None, since=self.now
        )
        part = budget.part_of(goal, steps, step)
        step = replace(step, part_tokens=part.tokens, part_s=part.seconds)
        step = replace(step, lease_until=self.now + self.settings.lease + self.settings.lost_after)
        self.goals.save_step(step)
        command = run_step(goal, step, steps)
        identity = derived_id(goal_id, run, step_id, step.fence, command.name)
        out = self.unit.stamp.outgoing(
            command, message_id=identity, cause=self.unit.envelope, subject=goal_id, key=step_key(step.spec.agent)
        )
        self.unit.publish_as(out)
        await self.event(goal, "step_dispatched", step=step_id, attempt=step.attempts, agent=step.spec.agent)

    async def written(self, goal: Goal, report: WrittenReport) -> None:
        """The end of a goal: done, or failed with this as the partial report."""
        steps = await self.goals.steps(goal.goal_id, goal.run)
        failed = goal.ending or (budget.too_small(goal, steps) if any(step.cut_short for step in steps) else None)
        bundle = bundle_of(goal, report, steps, now=self.now, failed=failed)
        await self.end(replace(goal, bundle=bundle), "failed" if failed else "done", reason=failed)
        if not failed:
            self._remember(goal, steps)

    def _remember(self, goal: Goal, steps: Sequence[Step]) -> None:
        """What the steps found, for later goals on the same subject. Nothing restricted: those may go anywhere."""
        if goal.submitted.sensitivity == "restricted":
            return
        results = [step.result for step in steps if step.result and not step.is_write]
        findings = [finding for result in results for finding in result.findings]
        if findings:
            remember = Remember(
                goal_id=goal.goal_id,
                namespace=goal.submitted.namespace,
                corpora=goal.submitted.corpora,
                goal=goal.submitted.goal,
                findings=tuple(findings),
                evidence=tuple({e.evidence_id: e for result in results for e in result.evidence}.values()),
            )
            identity = derived_id(goal.goal_id, goal.run, remember.name)
            self.unit.publish_as(
                self.unit.stamp.outgoing(remember, message_id=identity, cause=self.unit.envelope, subject=goal.goal_id)
            )

    async def end(
        self, goal: Goal, status: Literal["done", "failed", "cancelled"], *, reason: str | None = None
    ) -> None:
        """The goal's one end: steps that are open are dropped, running ones told to stop, whoever asked is answered."""
        for step in await self.goals.steps(goal.goal_id, goal.run):
            if step.state in OPEN_STATES:
                self.goals.save_step(replace(step, state="dropped", worker=None, lease_until=None))
        goal = replace(goal, status=status, reason=reason, ended_at=self.now)
        name = {"done": "goal_completed", "failed": "goal_failed", "cancelled": "goal_cancelled"}[status]
        await self.event(goal, name, **({"reason": reason} if reason else {}))
        if status != "done":
            self.unit.publish(StepsStopped(goal_id=goal.goal_id, reason=reason or status), subject=goal.goal_id)
        answer = GoalEnded(
            goal_id=goal.goal_id,
            status=status,
            report=goal.bundle.report if goal.bundle else None,
            citations=goal.bundle.citations if goal.bundle else (),
            reason=reason,
        )
        self.unit.publish(answer, to=_requester(goal))
        await self.admit()
        await self.dispatch()

    def lease(self) -> datetime:
        return self.now + self.settings.lease


def _requester(goal: Goal) -> Envelope:
    """The envelope of the message that submitted the goal, as far as an answer needs it."""
    return Envelope(**json.loads(goal.reply))
