"""Goals, steps and events in the planner's tables. Rows in, dataclasses out; nothing is decided here."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import bindparam, delete, func, insert, or_, select, update

from services.planner.goal import Goal, Step
from services.planner.tables import cancellations, events, goals, parked, parked_envelopes, steps
from shared.contracts.goals import ENDED, GoalEvent
from shared.messaging.asyncio_engine import AsyncConnection
from shared.messaging.columns import is_worker
from shared.messaging.memory import Memory
from shared.messaging.prepared import Prepared

_GOAL, _STEP = TypeAdapter(Goal), TypeAdapter(Step)
_ACTIVE_STATES = ("planning", "researching", "writing")
_OPEN_STATES = ("ready", "running")
_GET = Prepared(select(goals.c.body).where(goals.c.goal_id == bindparam("key")).with_for_update())
_ADD = Prepared(insert(goals))
_SAVE = Prepared(update(goals).where(goals.c.goal_id == bindparam("key")))
_STEPS = Prepared(
    select(steps.c.body)
    .where(steps.c.goal_id == bindparam("key"), steps.c.run == bindparam("key_run"))
    .order_by(steps.c.position)
)
_ADD_STEP = Prepared(insert(steps))
_SAVE_STEP = Prepared(
    update(steps).where(
        steps.c.goal_id == bindparam("key"), steps.c.run == bindparam("key_run"), steps.c.step == bindparam("key_step")
    )
)
_OPEN_COLUMNS = ("goal_id", "run", "step", "agent", "namespace", "priority", "since", "state")
_OPEN = Prepared(
    select(*(steps.c[n] for n in _OPEN_COLUMNS)).where(or_(steps.c.state == "ready", steps.c.state == "running"))
)
_ADD_EVENT = Prepared(insert(events))
_ACTIVE = Prepared(
    select(func.count()).select_from(goals).where(or_(*(goals.c.status == state for state in _ACTIVE_STATES)))
)
_ACCEPTED = Prepared(
    select(goals.c.goal_id, goals.c.namespace, goals.c.priority, goals.c.created_at)
    .where(goals.c.status == "accepted")
    .order_by(goals.c.created_at)
    .limit(bindparam("most"))
)
_CANCELLED_EARLY = Prepared(select(cancellations.c.reason).where(cancellations.c.goal_id == bindparam("key")))


@dataclass(frozen=True)
class OpenStep:
    """A step that is ready or running, of any goal."""

    goal_id: str
    run: int
    step: str
    agent: str
    namespace: str
    priority: int
    since: datetime | None
    state: str


@dataclass(frozen=True)
class Goals:
    """Goals, steps and events within one transaction. What was read or changed in it is not read again; what changes
    is saved by `flush`, once for all changes: before a question about many goals, and at the end."""

    connection: AsyncConnection
    _memory: Memory = field(default_factory=lambda: Memory(most=0), compare=False)
    _goals: dict[str, Goal] = field(default_factory=dict, init=False, compare=False)
    _steps: dict[tuple[str, int], list[Step]] = field(default_factory=dict, init=False, compare=False)
    _new: dict[str, Goal] = field(default_factory=dict, init=False, compare=False)
    _changed: dict[str, Goal] = field(default_factory=dict, init=False, compare=False)
    _new_steps: dict[tuple[str, int, str], Step] = field(default_factory=dict, init=False, compare=False)
    _changed_steps: dict[tuple[str, int, str], Step] = field(default_factory=dict, init=False, compare=False)
    _events: list[dict[str, Any]] = field(default_factory=list, init=False, compare=False)
    _turns: dict[str | tuple[str, int], int] = field(default_factory=dict, init=False, compare=False)

    async def flush(self) -> None:
        """Saves what has changed. Nothing to do: costs nothing."""
        runs = [(goal_id, run) for goal_id, run, _ in (*self._new_steps, *self._changed_steps)]
        changed: list[str | tuple[str, int]] = [*self._new, *self._changed, *runs]
        for key in changed:
            self._turns[key] = self._memory.changing(key)
        if self._new:
            await _ADD.run(self.connection, [_goal_row(goal) for goal in self._new.values()])
        if self._changed:
            rows = [{"key": goal.goal_id, **_goal_row(goal)} for goal in self._changed.values()]
            await _SAVE.run(self.connection, rows)
        if self._new_steps:
            rows = [_step_row(self._goals[step.goal_id], step) for step in self._new_steps.values()]
            await _ADD_STEP.run(self.connection, rows)
        if self._changed_steps:
            await _SAVE_STEP.run(self.connection, [_step_change(step) for step in self._changed_steps.values()])
        if self._events:
            await _ADD_EVENT.run(self.connection, self._events)
        for saved in (self._new, self._changed, self._new_steps, self._changed_steps):
            saved.clear()
        self._events.clear()

    def committed(self) -> None:
        """What is known whole need not be read for the next message. An ended goal is not asked about again."""
        for key, turn in self._turns.items():
            if isinstance(key, str):
                goal = self._goals[key]
                self._memory.keep(key, None if goal.status in ENDED else goal, turn)
            else:
                steps = self._steps.get(key)
                self._memory.keep(key, tuple(steps) if steps else None, turn)

    def add(self, goal: Goal) -> None:
        self._goals[goal.goal_id] = self._new[goal.goal_id] = goal

    async def get(self, goal_id: str) -> Goal | None:
        """Locked until the end of the transaction, where the database can."""
        if goal_id not in self._goals and (known := self._memory.get(goal_id)):
            self._goals[goal_id] = known
        if goal_id not in self._goals:
            row = (await _GET.run(self.connection, {"key": goal_id})).one()
            if row is None:
                return None
            self._goals[goal_id] = _GOAL.validate_json(row.body)
        return self._goals[goal_id]

    def save(self, goal: Goal) -> None:
        unsaved = self._new if goal.goal_id in self._new else self._changed
        self._goals[goal.goal_id] = unsaved[goal.goal_id] = goal

    async def steps(self, goal_id: str, run: int) -> list[Step]:
        if (goal_id, run) not in self._steps:
            stored = self._memory.get((goal_id, run)) or await self._stored_steps(goal_id, run)
            self._steps[goal_id, run] = [self._changed_steps.get(_key(step), step) for step in stored]
        return list(self._steps[goal_id, run])

    async def _stored_steps(self, goal_id: str, run: int) -> list[Step]:
        rows = await _STEPS.run(self.connection, {"key": goal_id, "key_run": run})
        return [_STEP.validate_json(body) for body in rows.values()]

    def add_steps(self, goal: Goal, plan: Sequence[Step]) -> None:
        """All steps of a run, in the order of their positions."""
        self._goals.setdefault(goal.goal_id, goal)
        self._new_steps.update({_key(step): step for step in plan})
        self._steps[goal.goal_id, goal.run] = list(plan)

    def save_step(self, step: Step) -> None:
        unsaved = self._new_steps if _key(step) in self._new_steps else self._changed_steps
        unsaved[_key(step)] = step
        known = self._steps.get((step.goal_id, step.run), [])
        known[:] = [step if one.id == step.id else one for one in known]

    async def open_steps(self) -> list[OpenStep]:
        """Ready and running steps of all goals, as they will be once this is saved."""
        unsaved = {**self._new_steps, **self._changed_steps}
        if any(step.goal_id not in self._goals for step in unsaved.values()):
            await self.flush()
            unsaved = {}
        saved = [OpenStep(*row) for row in (await _OPEN.run(self.connection)).rows]
        kept = [row for row in saved if (row.goal_id, row.run, row.step) not in unsaved]
        return kept + [
            _open(self._goals[step.goal_id], step) for step in unsaved.values() if step.state in _OPEN_STATES
        ]

    async def held_by(self, worker: str) -> list[Step]:
        """Running steps whose lease this worker holds, or one whose name begins with `<worker>-`."""
        await self.flush()
        query = select(steps.c.body).where(is_worker(steps.c.worker, worker), steps.c.state == "running")
        return [_STEP.validate_json(body) for body in (await self.connection.execute(query)).scalars()]

    async def lapsed(self, before: datetime) -> list[Step]:
        """Running steps whose lease ended before this time."""
        await self.flush()
        query = select(steps.c.body).where(steps.c.state == "running", steps.c.lease_until < before)
        return [_STEP.validate_json(body) for body in (await self.connection.execute(query)).scalars()]

    async def active(self) -> int:
        await self.flush()
        return int((await _ACTIVE.run(self.connection)).values()[0])

    async def accepted(self, limit: int = 1000) -> list[Any]:
        """Goals that wait for admission: goal_id, namespace, priority, created_at."""
        await self.flush()
        return (await _ACCEPTED.run(self.connection, {"most": limit})).rows

    async def overdue(self, now: datetime) -> list[str]:
        await self.flush()
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

    def add_event(self, event: GoalEvent, body: bytes) -> None:
        """`body`: the event as it is told."""
        self._events.append({"goal_id": event.goal_id, "seq": event.seq, "body": body.decode()})

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
        row = (await _CANCELLED_EARLY.run(self.connection, {"key": goal_id})).one()
        return row.reason if row else None

    async def purge(self, before: datetime) -> int:
        """Forgets goals that ended before this time, with their steps and events."""
        self._memory.clear()
        await self.connection.execute(delete(cancellations).where(cancellations.c.at < before))
        result = await self.connection.execute(delete(goals).where(goals.c.ended_at < before))
        await self.connection.execute(delete(parked).where(parked.c.at < before))
        gone = parked_envelopes.c.id.not_in(select(parked.c.id))
        await self.connection.execute(delete(parked_envelopes).where(gone))
        return int(result.rowcount)


def _key(step: Step) -> tuple[str, int, str]:
    return step.goal_id, step.run, step.id


def _open(goal: Goal, step: Step) -> OpenStep:
    of, spec = goal.submitted, step.spec
    return OpenStep(*_key(step), spec.agent, of.namespace, of.priority, step.since, step.state)


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


def _step_change(step: Step) -> dict[str, Any]:
    return {"key": step.goal_id, "key_run": step.run, "key_step": step.id, **_step_values(step)}


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
