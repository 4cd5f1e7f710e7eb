"""The planner's tables: goals, steps, events, parked messages. Rows in, dataclasses out; nothing is decided here."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import (
    Column,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from services.planner.goal import Goal, Step
from shared.contracts.goals import ENDED, GoalEvent
from shared.messaging.asyncio_engine import AsyncConnection
from shared.messaging.columns import UTCDateTime, is_worker

TABLES = MetaData()
_GOAL, _STEP = TypeAdapter(Goal), TypeAdapter(Step)

goals = Table(
    "goals",
    TABLES,
    Column("goal_id", String(64), primary_key=True),
    Column("status", String(16), nullable=False, index=True),
    Column("namespace", String(64), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("created_at", UTCDateTime, nullable=False, index=True),
    Column("deadline_at", UTCDateTime, nullable=False),
    Column("ended_at", UTCDateTime, index=True),
    Column("body", Text, nullable=False),
)
steps = Table(
    "steps",
    TABLES,
    Column("goal_id", String(64), primary_key=True),
    Column("run", Integer, primary_key=True),
    Column("step", String(64), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("agent", String(64), nullable=False),
    Column("namespace", String(64), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("since", UTCDateTime),
    Column("worker", String(128), index=True),
    Column("lease_until", UTCDateTime),
    Column("body", Text, nullable=False),
    ForeignKeyConstraint(["goal_id"], ["goals.goal_id"], ondelete="CASCADE"),
)
events = Table(
    "events",
    TABLES,
    Column("goal_id", String(64), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("body", Text, nullable=False),
    ForeignKeyConstraint(["goal_id"], ["goals.goal_id"], ondelete="CASCADE"),
)
cancellations = Table(
    "cancellations",
    TABLES,
    Column("goal_id", String(64), primary_key=True),
    Column("at", UTCDateTime, nullable=False),
    Column("reason", Text, nullable=False),
)
parked = Table(
    "parked",
    TABLES,
    Column("id", String(64), primary_key=True),
    Column("at", UTCDateTime, nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("queue", String(255), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("goal_id", String(64)),
    Column("type", String(255)),
    Column("headers", Text, nullable=False),
    Column("trace", Text),
    Column("body", LargeBinary, nullable=False),
)
parked_envelopes = Table(
    "parked_envelopes",
    TABLES,
    Column("id", String(64), primary_key=True),
    Column("envelope", Text, nullable=False),
)
"""How each parked message came: what it takes to send it again."""


# Built once: putting such a statement together costs more than running it.
_GET = select(goals.c.body).where(goals.c.goal_id == bindparam("key")).with_for_update()
_SAVE = update(goals).where(goals.c.goal_id == bindparam("key"))
_STEPS = (
    select(steps.c.body)
    .where(steps.c.goal_id == bindparam("key"), steps.c.run == bindparam("key_run"))
    .order_by(steps.c.position)
)
_SAVE_STEP = update(steps).where(
    steps.c.goal_id == bindparam("key"), steps.c.run == bindparam("key_run"), steps.c.step == bindparam("key_step")
)
_READY = select(*(steps.c[n] for n in ("goal_id", "run", "step", "agent", "namespace", "priority", "since"))).where(
    steps.c.state == "ready"
)
_RUNNING = select(steps.c.agent, steps.c.namespace).where(steps.c.state == "running")
_ADD_EVENT = insert(events)
_ACTIVE = select(func.count()).select_from(goals).where(goals.c.status.in_(("planning", "researching", "writing")))


@dataclass(frozen=True)
class Goals:
    """Goals, steps and events within one transaction. What was read or written in it is not read again."""

    connection: AsyncConnection
    _goals: dict[str, Goal] = field(default_factory=dict, init=False, compare=False)
    _steps: dict[tuple[str, int], list[Step]] = field(default_factory=dict, init=False, compare=False)

    async def add(self, goal: Goal) -> None:
        await self.connection.execute(insert(goals).values(_goal_row(goal)))
        self._goals[goal.goal_id] = goal

    async def get(self, goal_id: str) -> Goal | None:
        """Locked until the end of the transaction, where the database can."""
        if goal_id not in self._goals:
            body = (await self.connection.execute(_GET, {"key": goal_id})).scalar_one_or_none()
            if body is None:
                return None
            self._goals[goal_id] = _GOAL.validate_json(body)
        return self._goals[goal_id]

    async def save(self, goal: Goal) -> None:
        await self.connection.execute(_SAVE, {"key": goal.goal_id, **_goal_row(goal)})
        self._goals[goal.goal_id] = goal

    async def steps(self, goal_id: str, run: int) -> list[Step]:
        found = self._steps.get((goal_id, run))
        if found is None:
            rows = await self.connection.execute(_STEPS, {"key": goal_id, "key_run": run})
            found = self._steps[goal_id, run] = [_STEP.validate_json(body) for body in rows.scalars()]
        return list(found)

    async def add_steps(self, goal: Goal, plan: Sequence[Step]) -> None:
        await self.connection.execute(insert(steps), [_step_row(goal, step) for step in plan])
        self._steps.pop((plan[0].goal_id, plan[0].run), None)

    async def save_step(self, step: Step) -> None:
        key = {"key": step.goal_id, "key_run": step.run, "key_step": step.id}
        await self.connection.execute(_SAVE_STEP, {**key, **_step_values(step)})
        known = self._steps.get((step.goal_id, step.run), [])
        known[:] = [step if one.id == step.id else one for one in known]

    async def ready(self) -> list[Any]:
        """Ready steps of all goals: goal_id, run, step, agent, namespace, priority, since."""
        return list(await self.connection.execute(_READY))

    async def running(self) -> list[Any]:
        """Running steps of all goals: agent, namespace."""
        return list(await self.connection.execute(_RUNNING))

    async def held_by(self, worker: str) -> list[Step]:
        """Running steps whose lease this worker holds, or one whose name begins with `<worker>-`."""
        query = select(steps.c.body).where(is_worker(steps.c.worker, worker), steps.c.state == "running")
        return [_STEP.validate_json(body) for body in (await self.connection.execute(query)).scalars()]

    async def lapsed(self, before: datetime) -> list[Step]:
        """Running steps whose lease ended before this time."""
        query = select(steps.c.body).where(steps.c.state == "running", steps.c.lease_until < before)
        return [_STEP.validate_json(body) for body in (await self.connection.execute(query)).scalars()]

    async def active(self) -> int:
        return int((await self.connection.execute(_ACTIVE)).scalar_one())

    async def accepted(self, limit: int = 1000) -> list[Any]:
        """Goals that wait for admission: goal_id, namespace, priority, created_at."""
        columns = (goals.c.goal_id, goals.c.namespace, goals.c.priority, goals.c.created_at)
        query = select(*columns).where(goals.c.status == "accepted").order_by(goals.c.created_at).limit(limit)
        return list(await self.connection.execute(query))

    async def overdue(self, now: datetime) -> list[str]:
        query = select(goals.c.goal_id).where(goals.c.status.not_in(ENDED), goals.c.deadline_at <= now)
        return list((await self.connection.execute(query)).scalars())

    async def newest(self, *, limit: int, status: str | None = None) -> list[Goal]:
        query = select(goals.c.body).order_by(goals.c.created_at.desc(), goals.c.goal_id).limit(limit)
        if status:
            query = query.where(goals.c.status == status)
        return [_GOAL.validate_json(body) for body in (await self.connection.execute(query)).scalars()]

    async def like(self, prefix: str) -> list[Goal]:
        """The goal of this id, else those whose id starts with it; two at most, which is one too many."""
        bodies = select(goals.c.body).limit(2)
        whole = bodies.where(goals.c.goal_id == prefix)  # by its key; a part of one is sought in all goals there are
        found = (await self.connection.execute(whole)).scalars().all()
        if not found:
            begins = bodies.where(goals.c.goal_id.startswith(prefix, autoescape=True))
            found = (await self.connection.execute(begins)).scalars().all()
        return [_GOAL.validate_json(body) for body in found]

    async def add_event(self, event: GoalEvent) -> None:
        row = {"goal_id": event.goal_id, "seq": event.seq, "body": event.model_dump_json()}
        await self.connection.execute(_ADD_EVENT, row)

    async def events_after(self, goal_id: str, after: int, limit: int) -> list[GoalEvent]:
        query = select(events.c.body).where(events.c.goal_id == goal_id, events.c.seq > after)
        rows = await self.connection.execute(query.order_by(events.c.seq).limit(limit))
        return [GoalEvent.model_validate_json(body) for body in rows.scalars()]

    async def cancel_early(self, goal_id: str, reason: str, *, now: datetime) -> None:
        """Notes the cancellation of a goal that is not here; twice is harmless."""
        if await self.cancelled_early(goal_id) is None:
            await self.connection.execute(insert(cancellations).values(goal_id=goal_id, at=now, reason=reason))

    async def cancelled_early(self, goal_id: str) -> str | None:
        """Why this goal was cancelled before it came, if it was."""
        query = select(cancellations.c.reason).where(cancellations.c.goal_id == goal_id)
        return (await self.connection.execute(query)).scalar_one_or_none()

    async def purge(self, before: datetime) -> int:
        """Forgets goals that ended before this time, with their steps and events."""
        await self.connection.execute(delete(cancellations).where(cancellations.c.at < before))
        result = await self.connection.execute(delete(goals).where(goals.c.ended_at < before))
        await self.connection.execute(delete(parked).where(parked.c.at < before))
        gone = parked_envelopes.c.id.not_in(select(parked.c.id))
        await self.connection.execute(delete(parked_envelopes).where(gone))
        return int(result.rowcount)


def _goal_row(goal: Goal) -> dict[str, Any]:
    return {
        "goal_id": goal.goal_id,
        "status": goal.status,
        "namespace": goal.submitted.namespace,
        "priority": goal.submitted.priority,
        "created_at": goal.created_at,
        "deadline_at": goal.deadline_at,
        "ended_at": goal.ended_at,
        "body": _GOAL.dump_json(goal).decode(),
    }


def _step_row(goal: Goal, step: Step) -> dict[str, Any]:
    return {
        "goal_id": step.goal_id,
        "run": step.run,
        "step": step.id,
        "position": step.position,
        "agent": step.spec.agent,
        "namespace": goal.submitted.namespace,
        "priority": goal.submitted.priority,
        **_step_values(step),
    }


def _step_values(step: Step) -> dict[str, Any]:
    return {
        "state": step.state,
        "since": step.since,
        "worker": step.worker,
        "lease_until": step.lease_until,
        "body": _STEP.dump_json(step).decode(),
    }


KEPT = timedelta(days=30)
"""How long an ended goal, its events and its parked messages are kept."""
