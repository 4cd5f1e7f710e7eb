"""An owner's database, and the unit of work: state, inbox and outbox in one transaction.

SQLite (embedded default: one replica, guarded by a lock file) and PostgreSQL (any number of replicas; a schema per
owner). Many deliveries share one commit under load; an idle service commits at once.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import structlog
from sqlalchemy import MetaData
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from shared.contracts.message import Message
from shared.crashpoints import reached
from shared.errors import WarrenError
from shared.messaging import outbox
from shared.messaging.asyncio_engine import AsyncConnection, AsyncEngine
from shared.messaging.engine import away, is_outage, make_engine, refusal
from shared.messaging.envelope import Envelope, Outgoing
from shared.messaging.ids import derived_id
from shared.messaging.memory import Memory
from shared.messaging.outbox import Relay, Stored, Tables
from shared.messaging.publish import Stamp, reply_to_request
from shared.messaging.schema import Schema, lock_sqlite
from shared.messaging.sqlite import off_the_loop, savepoint
from shared.messaging.sqlite_kept import KeptConnections

log = structlog.get_logger()
T = TypeVar("T")
BATCH = 64
"""Deliveries that may share one commit: enough to hide an fsync, few enough to keep each one's wait short."""


class State(Protocol):
    """What is changed in memory first, and saved once for all changes."""

    async def flush(self) -> None: ...

    def committed(self) -> None:
        """What was saved is durable. Must not raise."""


S = TypeVar("S", bound=State)


@dataclass
class Unit:
    """One message's work inside a transaction. What is published here leaves if and only if the work is committed."""

    connection: AsyncConnection
    envelope: Envelope
    stamp: Stamp
    outgoing: list[Outgoing] = field(default_factory=list)
    callbacks: list[Callable[[], None]] = field(default_factory=list)
    states: dict[Any, "State"] = field(default_factory=dict)
    memory: Memory = field(default_factory=lambda: Memory(most=0))

    def publish(
        self, message: Message, *, subject: str | None = None, key: str | None = None, to: Envelope | None = None
    ) -> Outgoing | None:
        """A command or event; or, with `to`, the reply to an earlier request. Ids derive from cause and position. What
        will leave; None where nobody waits for the reply."""
        if to is not None:
            out = reply_to_request(message, to)
        else:
            identity = derived_id(self.envelope.message_id, self.stamp.service, len(self.outgoing), message.type_name())
            out = self.stamp.outgoing(message, message_id=identity, cause=self.envelope, subject=subject, key=key)
        if out:
            self.outgoing.append(out)
        return out

    def publish_as(self, out: Outgoing) -> None:
        """A message whose id and address the caller has chosen."""
        self.outgoing.append(out)

    def state(self, kind: Callable[[AsyncConnection, Memory], S]) -> S:
        """The one `kind` of this unit, whoever asks for it; saved when the work is done, within the transaction."""
        if kind not in self.states:
            self.states[kind] = kind(self.connection, self.memory)
        return cast(S, self.states[kind])

    async def save(self) -> None:
        for state in self.states.values():
            await state.flush()

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Called once the transaction is durable; never if it is not. Must not raise."""
        self.callbacks.append(callback)


Work = Callable[[Unit], Awaitable[Message | None]]


@dataclass
class _Job:
    work: Work
    envelope: Envelope
    once: bool
    done: "asyncio.Future[None]"
    unit: Unit | None = None
    stored: list[Stored] = field(default_factory=list)
    error: BaseException | None = None


class _Undone(Exception):
    """Undoes a transaction whose only job failed; the job knows why."""


class Database:
    """`url` names SQLite or PostgreSQL. `open` before use; `relay` is started by the service once it is connected."""

    def __init__(self, url: str, tables: MetaData, *, stamp: Stamp, migrations: Sequence[str] = ()) -> None:
        """`migrations`: SQL statements, one per version after the first; only ever appended to."""
        self.url, self.stamp = make_url(url), stamp
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.messaging = Tables.on(tables)
        self._schema = Schema(stamp.service, tables, migrations)
        self._kept: KeptConnections | None = None
        self._memory = Memory() if self.is_sqlite else Memory(most=0)
        self._jobs: list[_Job] = []
        self._wake = asyncio.Event()
        self._lock_file: Any = None
        self.engine: AsyncEngine
        self.relay: Relay

    async def open(self, publish: Callable[[Outgoing], Awaitable[None]]) -> None:
        """Creates what is missing. Raises ConfigurationError when another replica holds the SQLite file."""
        if self.is_sqlite:
            self._lock_file = lock_sqlite(Path(self.url.database or ""), owner=self.stamp.service)
        self.engine = make_engine(self.url, schema=self.stamp.service)
        self._kept = KeptConnections(self.engine) if self.is_sqlite else None
        try:
            async with self.engine.begin() as connection:
                await self._schema.bring_up_to_date(connection)
        except BaseException:
            await self.close()
            raise
        # SQLite has no other replica whose fresh rows it could take for left behind.
        first_age = timedelta(0) if self.is_sqlite else outbox.ORPHAN_AGE
        self.relay = Relay(publish, self._load_orphans, self._forget, first_age=first_age)

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reading; sees what is committed."""
        async with self._kept.read() if self._kept else self.engine.connect() as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def unit(self, envelope: Envelope | None = None, *, long: bool = False) -> AsyncIterator[Unit]:
        """A transaction of a background task. Committed at the end of the block, rolled back when it raises.

        `long`: its statements may take more than a few milliseconds (they delete thousands of rows, say).
        """
        cause = envelope or Envelope(message_id=derived_id("unit", self.stamp.instance, id(self), _tick()))
        async with self._transaction() as connection:
            unit = Unit(connection, cause, self.stamp, memory=self._memory)
            async with off_the_loop(connection) if long and self.is_sqlite else contextlib.nullcontext():
                yield unit
                await unit.save()
            stored = await self._store(connection, unit.outgoing)
        self._committed([(unit, stored)])

    async def apply(self, work: Work, envelope: Envelope, *, once: bool = True) -> None:
        """Runs `work` in a transaction, together with others that wait. Returns once it is committed.

        `once`: a message id that was handled before is not handled again; its reply is published again. Work whose own
        tables know what was done (`once=False`) sees every delivery. Raises what `work` raised, rolled back alone.
        """
        job = _Job(work, envelope, once, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self._wake.set()
        await job.done

    async def run(self) -> None:
        """Commits what `apply` brings, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._jobs:
                batch, self._jobs = self._jobs[:BATCH], self._jobs[BATCH:]
                await self._commit(batch)

    async def _commit(self, batch: list[_Job]) -> None:
        sent = self.relay.take_sent()
        try:
            async with self._transaction() as connection:
                for job in batch:
                    await self._run_job(connection, job, alone=len(batch) == 1)
                await outbox.forget_rows(connection, self.messaging, sent)
                reached("before_commit")
            self.relay.forgotten(sent)
        except DBAPIError as error:
            self.relay.give_back(sent)
            if len(batch) > 1 and not is_outage(error):  # one spoils the commit of all: find out which
                for job in batch:
                    await self._commit([_Job(job.work, job.envelope, job.once, job.done)])
                return
            for job in batch:
                job.error = away(error) if is_outage(error) else refusal(error)
        except _Undone:
            self.relay.give_back(sent)
        except Exception as error:
            self.relay.give_back(sent)
            for job in batch:
                job.error = away(error) if is_outage(error) else error
        reached("after_commit")
        self._committed([(job.unit, job.stored) for job in batch if job.unit and not job.error])
        for job in batch:
            _resolve(job)

    async def _run_job(self, connection: AsyncConnection, job: _Job, *, alone: bool) -> None:
        """What fails is undone alone: by its savepoint, or where there is no other job by its transaction (_Undone)."""
        try:
            async with contextlib.nullcontext() if alone else savepoint(connection):
                job.unit = unit = Unit(connection, job.envelope, self.stamp, memory=self._memory)
                if not (job.once and await self._answered_before(unit)):
                    reply = await job.work(unit)
                    await unit.save()
                    answer = reply_to_request(reply, job.envelope) if reply else None
                    unit.outgoing.extend([answer] if answer else [])
                    if job.once:
                        await outbox.remember(connection, self.messaging, job.envelope.message_id, answer)
                job.stored = await self._store(connection, unit.outgoing)
        except DBAPIError:
            raise
        except Exception as error:
            job.error = error
            if alone:
                raise _Undone from error

    async def _answered_before(self, unit: Unit) -> bool:
        known, reply = await outbox.seen(unit.connection, self.messaging, unit.envelope.message_id)
        if reply:
            unit.outgoing.append(reply)
        return known

    async def _store(self, connection: AsyncConnection, messages: list[Outgoing]) -> list[Stored]:
        return await outbox.store(connection, self.messaging, messages)

    def _committed(self, done: list[tuple[Unit, list[Stored]]]) -> None:
        for unit, stored in done:
            self.relay.hand_over(stored)
            for state in unit.states.values():
                state.committed()
            for callback in unit.callbacks:
                callback()

    @contextlib.asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        async with self._kept.transaction() if self._kept else self.engine.begin() as connection:
            yield connection

    async def _load_orphans(self, before: datetime) -> list[Stored]:
        async with self.read() as connection:
            return await outbox.load_rows(connection, self.messaging, before)

    async def _forget(self, ids: list[int]) -> None:
        async with self._transaction() as connection:
            await outbox.forget_rows(connection, self.messaging, ids)

    async def purge(self) -> None:
        """Forgets message ids that no copy can carry any more."""
        async with self.unit(long=True) as unit:
            await outbox.purge_inbox(unit.connection, self.messaging, datetime.now(UTC))

    async def close(self) -> None:
        if self._kept:
            await self._kept.close()
        await self.engine.dispose()
        if self._lock_file:
            self._lock_file.close()


def _resolve(job: _Job) -> None:
    if job.done.done():
        return
    if job.error is None:
        job.done.set_result(None)
    elif isinstance(job.error, Exception):
        job.done.set_exception(job.error)
    else:
        job.done.set_exception(WarrenError(str(job.error)))


_ticks = iter(range(2**62))


def _tick() -> str:
    return f"{datetime.now(UTC).timestamp()}-{next(_ticks)}"
