"""The ledger's rows: calls and who waits for them. For SQLite and PostgreSQL; nothing is decided here."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import and_, bindparam, delete, func, insert, or_, select, update

from services.inference.generation import Entry, call_id, request_hash
from services.inference.tables import generations, savings, waiters
from shared.contracts.generation import Generate, Generated
from shared.messaging.asyncio_engine import AsyncConnection, upsert
from shared.messaging.columns import is_worker
from shared.messaging.envelope import Envelope

_WAITING = (  # asked for all the time, and built once: that costs more than running it
    select(generations.c.id, generations.c.priority, generations.c.engine, generations.c.since)
    .where(generations.c.state == "waiting")
    .order_by(generations.c.priority.desc(), generations.c.since)
    .limit(bindparam("most"))
)


_FREE = {"owner": None, "lease_until": None, "lane": None}
"""Of a call that does not run: no owner, no slot."""


@dataclass(frozen=True)
class Row:
    """A waiting call: enough to choose by."""

    id: str
    priority: int
    engine: str
    since: datetime


@dataclass(frozen=True)
class Claim:
    """A call in our hands. `attempt` fences: who holds an older one has lost it. `since`: when it began to wait."""

    id: str
    attempt: int
    since: datetime
    request: Generate


class Ledger:
    """Every method works within the caller's transaction."""

    async def find(self, connection: AsyncConnection, call: str) -> Entry | None:
        """Locks the row: a waiter added now is not missed by whoever finishes the call at this moment."""
        columns = generations.c
        query = select(columns.id, columns.hash, columns.state, columns.failed).where(columns.id == call)
        row = (await connection.execute(query.with_for_update())).first()
        return Entry(row.id, row.hash, row.state, bool(row.failed)) if row else None

    async def result(self, connection: AsyncConnection, call: str) -> Generated:
        """Of a call that is done."""
        query = select(generations.c.result).where(generations.c.id == call)
        return Generated.model_validate_json((await connection.execute(query)).scalar_one())

    async def earlier(self, connection: AsyncConnection, request: Generate) -> Generated | None:
        """The newest answer of a model to the same request, made for the same step in another run or epoch. Quotes of
        the built-in engine cost nothing: a model may be there by now."""
        columns = generations.c
        same = and_(columns.goal_id == request.call.goal_id, columns.hash == request_hash(request))
        query = select(columns.result).where(same, columns.state == "done", columns.failed.is_(False))
        asked = (request.call.step, request.call.purpose)
        for result in (await connection.execute(query.order_by(columns.since.desc()))).scalars():
            found = Generated.model_validate_json(result)
            of_a_model = found.finish == "stop" and found.engine != "extractive"
            if of_a_model and (found.call.step, found.call.purpose) == asked:
                return found
        return None

    async def add(
        self, connection: AsyncConnection, request: Generate, now: datetime, *, result: Generated | None = None
    ) -> bool:
        """As waiting, or as done where the result is known. False when another replica added it in this moment."""
        row = upsert(connection, generations).values(
            id=call_id(request.call),
            goal_id=request.call.goal_id,
            hash=request_hash(request),
            state="done" if result else "waiting",
            result=result.model_dump_json() if result else None,
            failed=False,
            priority=request.priority,
            engine=request.engine,
            since=now,
            attempt=0,
            request=request.model_dump_json(),
        )
        return (await connection.execute(row.on_conflict_do_nothing(index_elements=["id"]))).rowcount == 1

    async def reopen(self, connection: AsyncConnection, request: Generate, now: datetime) -> None:
        """A call that had failed waits again."""
        again = {"hash": request_hash(request), "request": request.model_dump_json(), "since": now}
        await connection.execute(
            update(generations)
            .where(generations.c.id == call_id(request.call))
            .values(state="waiting", failed=False, result=None, **_FREE, **again)
        )

    async def wait(self, connection: AsyncConnection, call: str, envelope: Envelope) -> bool:
        """Whoever sent this gets the result. The same message twice waits once: is this one new?"""
        if not envelope.reply_to:
            return False
        before = await connection.execute(delete(waiters).where(waiters.c.message_id == envelope.message_id))
        kept = {
            "message_id": envelope.message_id,
            "correlation_id": envelope.correlation_id,
            "reply_to": envelope.reply_to,
            "headers": {k: v for k, v in envelope.headers.items() if isinstance(v, (str, int, float))},
        }
        await connection.execute(
            insert(waiters).values(message_id=envelope.message_id, call=call, envelope=json.dumps(kept))
        )
        return before.rowcount == 0

    async def waiting(self, connection: AsyncConnection, limit: int = 200) -> list[Row]:
        """The most urgent ones, oldest first among equals."""
        rows = await connection.execute(_WAITING, {"most": limit})
        return [Row(row.id, row.priority, row.engine, _utc(row.since)) for row in rows]

    async def running(self, connection: AsyncConnection) -> dict[str, str]:
        """Calls that run at hosts, of all replicas: id -> host."""
        columns = generations.c
        placed = and_(columns.state == "running", columns.lane.is_not(None))
        rows = await connection.execute(select(columns.id, columns.lane).where(placed))
        return {row.id: row.lane for row in rows}

    async def lock_slots(self, connection: AsyncConnection, lanes: Sequence[str]) -> Counter[str]:
        """Running calls by lane. Until this transaction ends no other replica can take a slot of these lanes."""
        if connection.dialect.name == "postgresql":  # SQLite has one replica, and one writer
            for lane in sorted(lanes):  # always in this order, or two replicas could wait for each other
                key = func.hashtextextended(f"slots of {lane}", 0)
                await connection.execute(select(func.pg_advisory_xact_lock(key)))
        columns = generations.c
        query = select(columns.lane, func.count()).where(columns.state == "running", columns.lane.in_(lanes))
        return Counter({row[0]: row[1] for row in await connection.execute(query.group_by(columns.lane))})

    async def claim(
        self, connection: AsyncConnection, call: str, *, owner: str, until: datetime, host: str = ""
    ) -> Claim | None:
        """None when another replica was faster or the call was stopped. `host`: whose slot it takes, if any."""
        columns = generations.c
        taken = (
            update(generations)
            .where(columns.id == call, columns.state == "waiting")
            .values(state="running", owner=owner, lease_until=until, attempt=columns.attempt + 1, lane=host or None)
            .returning(columns.attempt, columns.since, columns.request)
        )
        row = (await connection.execute(taken)).first()
        return Claim(call, row.attempt, _utc(row.since), Generate.model_validate_json(row.request)) if row else None

    async def renew(self, connection: AsyncConnection, *, owner: str, until: datetime) -> set[tuple[str, int]]:
        """The calls that this owner still holds, with their attempt."""
        columns = generations.c
        renewed = (
            update(generations)
            .where(columns.owner == owner, columns.state == "running")
            .values(lease_until=until)
            .returning(columns.id, columns.attempt)
        )
        return {(row.id, row.attempt) for row in await connection.execute(renewed)}

    async def finish(
        self, connection: AsyncConnection, claim: Claim, result: Generated, *, now: datetime
    ) -> list[Envelope] | None:
        """Keeps the result; returns who waits for it, None when the call is no longer ours."""
        columns = generations.c
        held = and_(columns.id == claim.id, columns.state == "running", columns.attempt == claim.attempt)
        done = {"state": "done", "failed": result.finish == "failed", "result": result.model_dump_json()}
        kept = await connection.execute(update(generations).where(held).values(since=now, **_FREE, **done))
        if kept.rowcount != 1:
            return None
        rows = await connection.execute(select(waiters.c.envelope).where(waiters.c.call == claim.id))
        found = [Envelope(**json.loads(row.envelope)) for row in rows]
        await connection.execute(delete(waiters).where(waiters.c.call == claim.id))
        return found

    async def release(
        self,
        connection: AsyncConnection,
        *,
        now: datetime,
        owner: str | None = None,
        spare: str | None = None,
        held_until: datetime | None = None,
    ) -> int:
        """Calls whose lease is over, and those of a dead owner (`*`: of all; but never of `spare`, and none whose lease
        ends after `held_until`: the dead one cannot have had it), wait again. Returns how many."""
        lost = generations.c.lease_until < now
        if owner == "*":
            lost = generations.c.owner.is_not(None)
        elif owner is not None:
            dead = and_(is_worker(generations.c.owner, owner), generations.c.owner != spare)
            lost = or_(lost, and_(dead, generations.c.lease_until <= held_until) if held_until else dead)
        freed = await connection.execute(
            update(generations).where(generations.c.state == "running", lost).values(state="waiting", **_FREE)
        )
        return int(freed.rowcount)

    async def stop(
        self, connection: AsyncConnection, goal_id: str, *, owner: str, before_epoch: int | None = None
    ) -> None:
        """Drops the goal's calls that wait, and those that this owner runs. What is done stays."""
        columns = generations.c
        ours = and_(columns.state == "running", columns.owner == owner)
        gone = select(columns.id, columns.request).where(
            columns.goal_id == goal_id, or_(columns.state == "waiting", ours)
        )
        rows = list(await connection.execute(gone))
        if before_epoch is not None:
            rows = [row for row in rows if Generate.model_validate_json(row.request).call.epoch < before_epoch]
        await self._drop(connection, [row.id for row in rows])

    async def purge(self, connection: AsyncConnection, before: datetime) -> None:
        """Forgets calls that ended before this time."""
        old = select(generations.c.id).where(generations.c.state == "done", generations.c.since < before).limit(1000)
        await self._drop(connection, list((await connection.execute(old)).scalars()))

    async def _drop(self, connection: AsyncConnection, calls: Sequence[str]) -> None:
        if calls:
            await connection.execute(delete(waiters).where(waiters.c.call.in_(calls)))
            await connection.execute(delete(savings).where(savings.c.call.in_(calls)))
            await connection.execute(delete(generations).where(generations.c.id.in_(calls)))

    async def counts(self, connection: AsyncConnection) -> dict[str, int]:
        """How many calls there are by state."""
        query = select(generations.c.state, func.count()).group_by(generations.c.state)
        return {row[0]: row[1] for row in await connection.execute(query)}


def _utc(at: datetime) -> datetime:
    """SQLite returns what it was given without its zone."""
    return at if at.tzinfo else at.replace(tzinfo=UTC)
