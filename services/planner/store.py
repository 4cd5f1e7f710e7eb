"""The planner's tables: goals, steps, events, parked messages. Rows in, dataclasses out; nothing is decided here."""

from collections.abc import Sequence
from dataclasses import dataclass
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

ID_PREFIX = 8
"""Characters of a dead letter's id that stand for it, as reasons name it."""
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


@dataclass(frozen=True)
class Goals:
    """Goals, steps and events within one transaction."""

    connection: AsyncConnection

    async def add(self, goal: Goal) -> None:
        await self.connection.execute(insert(goals).values(_goal_row(goal)))

    async def get(self, goal_id: str) -> Goal | None:
        """Locked until the end of the transaction, where the database can."""
        query = select(goals.c.body).where(goals.c.goal_id == goal_id).with_for_update()
        body = (await self.connection.execute(query)).scalar_one_or_none()
        return _GOAL.validate_json(body) if body else None

    async def save(self, goal: Goal) -> None:
        await self.connection.execute(update(goals).where(goals.c.goal_id == goal.goal_id).values(_goal_row(goal)))

    async def steps(self, goal_id: str, run: int) -> list[Step]:
        query = select(steps.c.body).where(steps.c.goal_id == goal_id, steps.c.run == run).order_by(steps.c.position)
        return [_STEP.validate_json(body) for body in (await self.connection.execute(query)).scalars()]

    async def add_steps(self, goal: Goal, plan: Sequence[Step]) -> None:
        await self.connection.execute(insert(steps), [_step_row(goal, step) for step in plan])

    async def save_step(self, step: Step) -> None:
        key = (steps.c.goal_id == step.goal_id) & (steps.c.run == step.run) & (steps.c.step == step.id)
        await self.connection.execute(update(steps).where(key).values(_step_values(step)))

    async def ready(self) -> list[Any]:
        """Ready steps of all goals: goal_id, run, step, agent, namespace, priority, since."""
        columns = [steps.c[n] for n in ("goal_id", "run", "step", "agent", "namespace", "priority", "since")]
        return list(await self.connection.execute(select(*columns).where(steps.c.state == "ready")))

    async def running(self) -> list[Any]:
        """Running steps of all goals: agent, namespace."""
        return list(
            await self.connection.execute(select(steps.c.agent, steps.c.namespace).where(steps.c.state == "running"))
        )

    async def held_by(self, worker: str) -> list[Step]:
        """Running steps whose lease this worker holds, or one whose name begins with `<worker>-`."""
        query = select(steps.c.body).where(is_worker(steps.c.worker, worker), steps.c.state == "running")
        return [_STEP.validate_json(body) for body in (await self.connection.execute(query)).scalars()]

    async def lapsed(self, before: datetime) -> list[Step]:
        """Running steps whose lease ended before this time."""
        query = select(steps.c.body).where(steps.c.state == "running", steps.c.lease_until < before)
        return [_STEP.validate_json(body) for body in (await self.connection.execute(query)).scalars()]

    async def active(self) -> int:
        query = (
            select(func.count()).select_from(goals).where(goals.c.status.in_(("planning", "researching", "writing")))
        )
        return int((await self.connection.execute(query)).scalar_one())

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
        """Goals whose id starts with this; two at most, which is one too many."""
        query = select(goals.c.body).where(goals.c.goal_id.startswith(prefix, autoescape=True)).limit(2)
        return [_GOAL.validate_json(body) for body in (await self.connection.execute(query)).scalars()]

    async def add_event(self, event: GoalEvent) -> None:
        row = {"goal_id": event.goal_id, "seq": event.seq, "body": event.model_dump_json()}
        await self.connection.execute(insert(events).values(row))

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


@dataclass(frozen=True)
class Parked:
    """Dead letters within one transaction; rows are plain mappings of the table's columns."""

    connection: AsyncConnection

    async def add(self, row: dict[str, Any], envelope: str) -> bool:
        """False when it is there already (the same letter was delivered twice)."""
        if (await self.connection.execute(select(parked.c.id).where(parked.c.id == row["id"]))).first():
            return False
        await self.connection.execute(insert(parked).values(row))
        await self.connection.execute(insert(parked_envelopes).values(id=row["id"], envelope=envelope))
        return True

    async def newest(self, limit: int) -> list[Any]:
        return list(
            await self.connection.execute(select(parked).order_by(parked.c.at.desc(), parked.c.id).limit(limit))
        )

    async def find(self, letter_id: str) -> Any:
        """By its id, or by the beginning of it if that is at least eight characters long and no other's."""
        same = parked.c.id == letter_id
        if len(letter_id) >= ID_PREFIX:
            same = parked.c.id.startswith(letter_id, autoescape=True)
        rows = (await self.connection.execute(select(parked).where(same).limit(2))).all()
        return rows[0] if len(rows) == 1 else None

    async def take(self, letter_id: str) -> tuple[Any, str] | None:
        """The row and its envelope (JSON, or "" where none was kept), removed; None when somebody else was first."""
        row = await self.find(letter_id)
        if row is None or (await self.connection.execute(delete(parked).where(parked.c.id == row.id))).rowcount != 1:
            return None
        mine = parked_envelopes.c.id == row.id
        envelope = (await self.connection.execute(select(parked_envelopes.c.envelope).where(mine))).scalar_one_or_none()
        await self.connection.execute(delete(parked_envelopes).where(mine))
        return row, envelope or ""


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
