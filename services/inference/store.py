"""The ledger's rows: calls and who waits for them. For SQLite and PostgreSQL; nothing is decided here."""

import json
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import and_, bindparam, delete, exists, func, insert, or_, select, update

from services.inference.cache import share_of
from services.inference.generation import Entry, call_id, request_hash
from services.inference.rows import CLAIMED, READ, Claim, Row, claim_of, row_of
from services.inference.tables import generations, savings, waiters
from shared.contracts.generation import Generate, Generated
from shared.contracts.sensitivity import USUAL
from shared.messaging.asyncio_engine import AsyncConnection, upsert
from shared.messaging.columns import is_worker
from shared.messaging.envelope import Envelope
from shared.messaging.prepared import Prepared

_RUNS = generations.alias("runs")
_WAITS = generations.c
_TURN = func.row_number().over(partition_by=_WAITS.goal_id, order_by=(_WAITS.priority.desc(), _WAITS.since))
_WAITING = Prepared(  # not what waits for an equal one that runs, or a thousand of those would hide all others
    select(*(_WAITS[name] for name in READ))
    .where(
        generations.c.state == "waiting",
        ~exists().where(
            _RUNS.c.share == generations.c.share,
            _RUNS.c.engine == generations.c.engine,
            _RUNS.c.state == "running",
            _RUNS.c.lane.is_not(None),  # at a host: what is built in is not shared
        ),
    )
    .order_by(_TURN, _WAITS.priority.desc(), _WAITS.since)  # the first of each goal: no goal fills the window
    .limit(bindparam("most"))
)
_PLACED = Prepared(
    select(generations.c.id, generations.c.lane).where(
        generations.c.state == "running", generations.c.lane.is_not(None)
    )
)
_COUNTS = Prepared(select(generations.c.state, func.count()).group_by(generations.c.state))
_TAKEN = Prepared(select(func.count()).where(generations.c.state == "running", generations.c.lane == bindparam("at")))
_FIND = Prepared(  # locks the row: a waiter added now is not missed by whoever finishes the call at this moment
    select(*(generations.c[name] for name in ("id", "hash", "state", "failed", "sensitivity")))
    .where(generations.c.id == bindparam("call"))
    .with_for_update()
)
_RESULT = Prepared(select(generations.c.result).where(generations.c.id == bindparam("call")))
_CLAIM = Prepared(
    update(generations)
    .where(generations.c.id == bindparam("call"), generations.c.state == "waiting")
    .values(
        state="running",
        owner=bindparam("by"),
        lease_until=bindparam("until"),
        attempt=generations.c.attempt + 1,
        lane=bindparam("host"),
        placed=bindparam("host"),
        used=bindparam("engine_used"),
    )
    .returning(*(generations.c[name] for name in CLAIMED))
)
_FINISH = Prepared(
    update(generations)
    .where(
        generations.c.id == bindparam("call"),
        generations.c.state == "running",
        generations.c.attempt == bindparam("held"),
    )
    .values(
        state="done",
        failed=bindparam("without"),
        result=bindparam("answer"),
        since=bindparam("at"),
        owner=None,
        lease_until=None,
        lane=None,
    )
)
_ADD: dict[str, Prepared] = {}
_WAIT = Prepared(insert(waiters))
_WAITS_NO_MORE = Prepared(delete(waiters).where(waiters.c.message_id == bindparam("message")))
_WHO_WAITS = Prepared(select(waiters.c.envelope).where(waiters.c.call == bindparam("key")))
_NOBODY_WAITS = Prepared(delete(waiters).where(waiters.c.call == bindparam("key")))

_FREE = {"owner": None, "lease_until": None, "lane": None}
"""Of a call that does not run: no owner, no slot."""


class Ledger:
    """Every method works within the caller's transaction."""

    async def find(self, connection: AsyncConnection, call: str) -> Entry | None:
        """Locks the row: a waiter added now is not missed by whoever finishes the call at this moment."""
        row = (await _FIND.run(connection, {"call": call})).one()
        return Entry(row.id, row.hash, row.state, bool(row.failed), row.sensitivity or USUAL) if row else None

    async def result(self, connection: AsyncConnection, call: str) -> Generated:
        """Of a call that is done."""
        return Generated.model_validate_json((await _RESULT.run(connection, {"call": call})).one().result)

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
        self,
        connection: AsyncConnection,
        request: Generate,
        now: datetime,
        *,
        result: Generated | None = None,
        route: str | None = None,
    ) -> bool:
        """As waiting, or as done where the result is known. False when another replica added it in this moment."""
        row = {
            "id": call_id(request.call),
            "goal_id": request.call.goal_id,
            "hash": request_hash(request),
            "state": "done" if result else "waiting",
            "result": result.model_dump_json() if result else None,
            "failed": False,
            "priority": request.priority,
            "engine": request.engine,
            "since": now,
            "attempt": 0,
            "request": request.model_dump_json(),
            "share": None if result else share_of(request),
            "sensitivity": request.sensitivity,
            "deadline_at": request.deadline_at,
            "max_tokens": request.max_tokens,
            "route": route,
        }
        return (await _adding(connection).run(connection, row)).count == 1

    async def reopen(
        self, connection: AsyncConnection, request: Generate, now: datetime, *, route: str | None = None
    ) -> None:
        """A call that had failed waits again."""
        asked = {"hash": request_hash(request), "request": request.model_dump_json()}
        again = {**asked, "share": share_of(request), "since": now, "sensitivity": request.sensitivity}
        read = {"deadline_at": request.deadline_at, "max_tokens": request.max_tokens}
        await connection.execute(
            update(generations)
            .where(generations.c.id == call_id(request.call))
            .values(
                state="waiting",
                failed=False,
                result=None,
                avoid=None,
                route=route,
                tried=None,
                **_FREE,
                **again,
                **read,
            )
        )

    async def wait(self, connection: AsyncConnection, call: str, envelope: Envelope) -> bool:
        """Whoever sent this gets the result. The same message twice waits once: is this one new?"""
        if not envelope.reply_to:
            return False
        before = await _WAITS_NO_MORE.run(connection, {"message": envelope.message_id})
        kept = {
            "message_id": envelope.message_id,
            "correlation_id": envelope.correlation_id,
            "reply_to": envelope.reply_to,
            "headers": {k: v for k, v in envelope.headers.items() if isinstance(v, (str, int, float))},
        }
        row = {"message_id": envelope.message_id, "call": call, "envelope": json.dumps(kept)}
        await _WAIT.run(connection, row)
        return before.count == 0

    async def waiting(self, connection: AsyncConnection, limit: int = 200) -> list[Row]:
        """Of each goal the most urgent ones, oldest first among equals; the goals take turns."""
        rows = (await _WAITING.run(connection, {"most": limit})).rows
        return [row_of(row) for row in rows]

    async def running(self, connection: AsyncConnection) -> dict[str, str]:
        """Calls that run at hosts, of all replicas: id -> host."""
        return {row.id: row.lane for row in (await _PLACED.run(connection)).rows}

    async def lock_slots(self, connection: AsyncConnection, lanes: Sequence[str]) -> Counter[str]:
        """Running calls by lane. Until this transaction ends no other replica can take a slot of these lanes."""
        if connection.dialect.name == "postgresql":  # SQLite has one replica, and one writer
            for lane in sorted(lanes):  # always in this order, or two replicas could wait for each other
                key = func.hashtextextended(f"slots of {lane}", 0)
                await connection.execute(select(func.pg_advisory_xact_lock(key)))
        return +Counter({lane: (await _TAKEN.run(connection, {"at": lane})).one()[0] for lane in lanes})

    async def claim(
        self, connection: AsyncConnection, call: str, *, owner: str, until: datetime, host: str = "", engine: str = ""
    ) -> Claim | None:
        """None when another replica was faster or the call was stopped. `host`: whose slot it takes, if any; `engine`:
        what it is asked of there."""
        taken = {"call": call, "by": owner, "until": until, "host": host or None, "engine_used": engine or None}
        row = (await _CLAIM.run(connection, taken)).one()
        return claim_of(call, row) if row else None

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
        done = {"without": result.finish == "failed", "answer": result.model_dump_json(), "at": now}
        kept = await _FINISH.run(connection, {"call": claim.id, "held": claim.attempt, **done})
        if kept.count != 1:
            return None
        rows = await _WHO_WAITS.run(connection, {"key": claim.id})
        await _NOBODY_WAITS.run(connection, {"key": claim.id})
        return [Envelope(**json.loads(envelope)) for envelope in rows.values()]

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
        self,
        connection: AsyncConnection,
        goal_id: str,
        *,
        owner: str,
        before_epoch: int | None = None,
        spare: Collection[str] = (),
    ) -> None:
        """Drops the goal's calls that wait, and those that this owner runs, but for `spare`. What is done stays."""
        columns = generations.c
        ours = and_(columns.state == "running", columns.owner == owner)
        gone = select(columns.id, columns.request).where(
            columns.goal_id == goal_id, or_(columns.state == "waiting", ours)
        )
        rows = list(await connection.execute(gone))
        if before_epoch is not None:
            rows = [row for row in rows if Generate.model_validate_json(row.request).call.epoch < before_epoch]
        await self._drop(connection, [row.id for row in rows if row.id not in spare])

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
        return {row[0]: row[1] for row in (await _COUNTS.run(connection)).rows}


def _adding(connection: AsyncConnection) -> Prepared:
    """Of the connection's dialect: each knows its own ON CONFLICT."""
    name = connection.dialect.name
    if name not in _ADD:
        _ADD[name] = Prepared(upsert(connection, generations).on_conflict_do_nothing(index_elements=["id"]))
    return _ADD[name]
