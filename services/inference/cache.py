"""The exact cache: equal deterministic requests of different calls are asked once, and answered from the ledger.

Deterministic is what has temperature 0 or names a seed, and was not asked for `fresh`. Requests are equal when
everything that shapes the answer is: messages, options, schema, tools, and the model that was chosen for it. There is
no table of its own: a call's row has `share`, the hash of its request, and `used`, the engine that it was placed at.
While one of them runs, the others wait; when it is done they get its answer. If it fails or its owner dies, it or the
next one is asked.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select, update

from services.inference.chains import why_not
from services.inference.rows import tried_of
from services.inference.tables import generations, waiters
from shared.contracts.generation import Generate, Generated
from shared.messaging.asyncio_engine import AsyncConnection
from shared.messaging.envelope import Envelope

Key = tuple[str, str]
"""`share`, and the engine that is chosen."""
NO_SEED = 0
"""What a request has that names none: whoever wants one answer again and again above temperature 0 names another."""
_NOT_THE_ANSWER = {"call", "engine", "priority", "deadline_at", "max_s", "fresh", "stream"}


def share_of(request: Generate) -> str | None:
    """What equal requests have in common; None for one that nothing may be shared with."""
    sampled = request.temperature > 0 and request.seed == NO_SEED
    if sampled or request.fresh:
        return None
    return hashlib.sha256(request.model_dump_json(exclude=_NOT_THE_ANSWER).encode()).hexdigest()


def alike(keys: Mapping[str, Key]) -> dict[Key, list[str]]:
    """Calls by what they share, in their order."""
    found: dict[Key, list[str]] = {}
    for call, key in keys.items():
        found.setdefault(key, []).append(call)
    return found


@dataclass(frozen=True)
class Cache:
    """`kept`: how long an answer serves others; zero: never. `entries`: how many do, the newest."""

    kept: timedelta
    entries: int

    async def placed(self, connection: AsyncConnection, wanted: Iterable[Key], now: datetime) -> dict[Key, str]:
        """The call that is done or runs already; whoever is done comes first."""
        pairs = set(wanted)
        if not pairs or not self.kept:
            return {}
        columns = generations.c
        query = select(columns.share, columns.used, columns.id, columns.state).where(
            columns.share.in_({share for share, _ in pairs}), self._serves(now)
        )
        rows = [row for row in await connection.execute(query) if (row.share, row.used) in pairs]
        return {(row.share, row.used): row.id for row in sorted(rows, key=lambda row: row.state == "done")}

    async def lock(self, connection: AsyncConnection, shares: Iterable[str]) -> None:
        """Until this transaction ends no other replica places a call of these."""
        if connection.dialect.name == "postgresql" and self.kept:  # SQLite has one replica, and one writer
            for share in sorted(set(shares)):
                await connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"share {share}", 0))))

    async def answer(
        self, connection: AsyncConnection, call: str, others: Sequence[str]
    ) -> list[tuple[Generated, list[Envelope]]] | None:
        """Gives the answer of a call to others that wait: each one's own, and who waits for it. None while it runs."""
        columns = generations.c
        query = select(columns.result, columns.used).where(columns.id == call, columns.state == "done")
        row = (await connection.execute(query)).first()
        if row is None:
            return None
        found = Generated.model_validate_json(row.result)
        if found.finish != "stop" or found.engine != row.used:  # it fell back: no answer of that engine
            await connection.execute(update(generations).where(columns.id == call).values(share=None))
            return []
        given = [await self._give(connection, other, found, row.used) for other in others]
        return [answered for answered in given if answered]

    async def _give(
        self, connection: AsyncConnection, call: str, found: Generated, used: str
    ) -> tuple[Generated, list[Envelope]] | None:
        columns = generations.c
        asked = select(columns.request, columns.tried).where(columns.id == call, columns.state == "waiting")
        row = (await connection.execute(asked.with_for_update())).first()
        if row is None:  # stopped, or answered by another replica
            return None
        tried = tried_of(row.tried)  # its own way to this engine, not that of who asked it first
        call_key = Generate.model_validate_json(row.request).call
        own = {"call": call_key, "cached": True, "shared": True, "tried": tried}
        if tried or found.tried:
            own["engine_reason"] = why_not(tried)
        mine = found.model_copy(update=own)
        done = {"state": "done", "failed": False, "result": mine.model_dump_json(), "used": used, "share": None}
        await connection.execute(update(generations).where(columns.id == call).values(**done))
        envelopes = (await connection.execute(select(waiters.c.envelope).where(waiters.c.call == call))).scalars().all()
        await connection.execute(delete(waiters).where(waiters.c.call == call))
        return mine, [Envelope(**json.loads(envelope)) for envelope in envelopes]

    async def wanted_by_others(self, connection: AsyncConnection, goal_id: str) -> set[str]:
        """Running calls of this goal for whose answer calls of other goals wait."""
        columns, other = generations.c, generations.alias()
        same = other.c.share == columns.share  # whatever engine it names: `auto` may wait for the one that runs
        waits = exists().where(same, other.c.state == "waiting", other.c.goal_id != goal_id)
        query = select(columns.id).where(columns.goal_id == goal_id, columns.state == "running", waits)
        return set((await connection.execute(query)).scalars()) if self.kept else set()

    async def trim(self, connection: AsyncConnection, now: datetime) -> None:
        """What is too old, and more than `entries`, serves nobody any more."""
        columns = generations.c
        done = and_(columns.share.is_not(None), columns.state == "done")
        newest = select(columns.since).where(done).order_by(columns.since.desc()).offset(self.entries).limit(1)
        last = (await connection.execute(newest)).scalar()
        old = columns.since < now - self.kept
        gone = or_(old, columns.since <= last) if last is not None else old
        await connection.execute(update(generations).where(done, gone).values(share=None))

    def _serves(self, now: datetime) -> ColumnElement[bool]:
        columns = generations.c
        answered = and_(columns.state == "done", columns.failed.is_(False), columns.since > now - self.kept)
        return or_(columns.state == "running", answered)
