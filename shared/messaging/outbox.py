"""Inbox, outbox, and the relay: what makes an effect happen once and its messages leave for certain.

A handler's state, the id of the message it came from, and the messages that follow from it are one transaction. The
relay publishes what was committed, in order per goal, and waits for the confirms. It is independent of the input: rows
that a dead replica left behind are found by age and published by any replica, with the same ids.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import structlog
from sqlalchemy import Column, Integer, LargeBinary, MetaData, String, Table, Text, bindparam, delete, insert, select

from shared.crashpoints import reached
from shared.errors import Rejected, Retryable
from shared.messaging.asyncio_engine import AsyncConnection
from shared.messaging.columns import UTCDateTime
from shared.messaging.envelope import Outgoing
from shared.messaging.prepared import Prepared
from shared.messaging.topology import COMMANDS, EVENTS

log = structlog.get_logger()
ORPHAN_AGE = timedelta(seconds=5)
"""Rows older than this were left behind: a live relay publishes within milliseconds of the commit."""
TOLD_LATER_S = 0.05
"""How long events wait at most for the commands and replies of the same transactions to be confirmed."""
TURNS = 4
"""Of the loop, until what a relay has been handed is on the wire; counted, and nothing is lost if it were more."""
INBOX_KEPT = timedelta(days=7)
"""How long a message id is remembered: longer than any queue, retry or parked message keeps a copy."""


@dataclass(frozen=True)
class Tables:
    """The tables that messaging adds to an owner's own."""

    inbox: Table
    outbox: Table

    @classmethod
    def on(cls, metadata: MetaData) -> "Tables":
        """Adds them, unless they are there: a service may be built twice in one process."""
        if "inbox" in metadata.tables:
            return cls(metadata.tables["inbox"], metadata.tables["outbox"])
        inbox = Table(
            "inbox",
            metadata,
            Column("message_id", String(255), primary_key=True),
            Column("at", UTCDateTime, nullable=False, index=True),
            Column("reply", Text),  # Outgoing without its body: a question asked again gets the same answer again
            Column("reply_body", LargeBinary),
        )
        outbox = Table(
            "outbox",
            metadata,
            Column("id", Integer, primary_key=True, autoincrement=True),
            Column("at", UTCDateTime, nullable=False),
            Column("message", Text, nullable=False),
            Column("body", LargeBinary, nullable=False),
        )
        return cls(inbox, outbox)

    @cached_property
    def seen(self) -> Prepared:
        columns = (self.inbox.c.reply, self.inbox.c.reply_body)
        return Prepared(select(*columns).where(self.inbox.c.message_id == bindparam("key")))

    @cached_property
    def remember(self) -> Prepared:
        return Prepared(insert(self.inbox))

    @cached_property
    def store(self) -> Prepared:
        return Prepared(insert(self.outbox).returning(self.outbox.c.id, sort_by_parameter_order=True))

    @cached_property
    def oldest(self) -> Prepared:
        before = self.outbox.c.at <= bindparam("before")
        return Prepared(select(self.outbox).where(before).order_by(self.outbox.c.id).limit(bindparam("most")))

    @cached_property
    def forget(self) -> Prepared:
        return Prepared(delete(self.outbox).where(self.outbox.c.id.between(bindparam("first"), bindparam("last"))))


async def written() -> None:
    """Lets what was just handed to a relay be written to its socket."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


@dataclass(frozen=True)
class Stored:
    """An outbox row."""

    id: int
    message: Outgoing


async def seen(connection: AsyncConnection, tables: Tables, message_id: str) -> tuple[bool, Outgoing | None]:
    """Was this message handled before, and what was replied to it?"""
    row = (await tables.seen.run(connection, {"key": message_id})).one()
    if row is None:
        return False, None
    return True, Outgoing.from_json(row.reply, row.reply_body) if row.reply else None


async def remember(connection: AsyncConnection, tables: Tables, message_id: str, reply: Outgoing | None) -> None:
    """Raises IntegrityError when another replica handled the message in the meantime."""
    row = {"message_id": message_id, "at": datetime.now(UTC), "reply": None, "reply_body": None}
    if reply:
        row |= {"reply": reply.to_json(), "reply_body": reply.body}
    await tables.remember.run(connection, row)


async def store(connection: AsyncConnection, tables: Tables, messages: Sequence[Outgoing]) -> list[Stored]:
    """Puts messages into the outbox, in order."""
    if not messages:
        return []
    now = datetime.now(UTC)
    rows = [{"at": now, "message": message.to_json(), "body": message.body} for message in messages]
    ids = (await tables.store.run(connection, rows)).values()
    return [Stored(row, message) for row, message in zip(ids, messages, strict=True)]


@dataclass
class Relay:
    """Publishes committed outbox rows. `run` loops until it is cancelled; `drain` waits until nothing is pending."""

    publish: Callable[[Outgoing], Awaitable[None]]
    load: Callable[[datetime], Awaitable[list[Stored]]]
    forget: Callable[[list[int]], Awaitable[None]]
    first_age: timedelta = ORPHAN_AGE
    """How old an orphan is at the start: younger rows may be those of another replica at work."""
    opened: datetime = field(default_factory=lambda: datetime.now(UTC))
    """What was stored since then is our own, and not left behind."""
    orphans_every_s: float = 2.0
    """Shorter than ORPHAN_AGE, so that what was sent is deleted before another replica takes it for left behind."""
    _pending: list[Stored] = field(default_factory=list)
    _sent: list[int] = field(default_factory=list)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _idle: asyncio.Event = field(default_factory=asyncio.Event)
    _busy: set[int] = field(default_factory=set)

    def hand_over(self, stored: Sequence[Stored]) -> None:
        """Committed just now: publish at once."""
        if stored:
            self._pending.extend(stored)
            self._busy.update(s.id for s in stored)
            self._idle.clear()
            self._wake.set()

    def take_sent(self) -> list[int]:
        """Rows whose confirm has come: the next transaction deletes them, so that they cost no commit of their own.

        Say `forgotten` once that is committed, else `give_back`.
        """
        sent, self._sent = self._sent, []
        return sent

    def forgotten(self, sent: list[int]) -> None:
        self._busy.difference_update(sent)

    def give_back(self, sent: list[int]) -> None:
        self._sent[:0] = sent

    async def run(self) -> None:
        loop, first = asyncio.get_running_loop(), True
        look = loop.time()
        while True:
            found = False
            if loop.time() >= look:  # under load too: a dead replica's rows must not wait for a quiet moment
                found = await self._find_orphans(
                    self.opened - self.first_age if first else datetime.now(UTC) - ORPHAN_AGE
                )
                look, first = loop.time() + self.orphans_every_s, False
            self._wake.clear()
            if self._pending:
                batch, self._pending = self._pending, []
                await self._send(batch)
                if found:
                    await self._forget_orphans()
                continue
            self._idle.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(look - loop.time()):
                    await self._wake.wait()

    async def drain(self, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        await self._forget_sent()

    async def _find_orphans(self, before: datetime) -> bool:
        """Hands them over. Were there any?"""
        try:
            await self._forget_sent()
            ours = frozenset(self._busy)  # now: what is deleted while we load must not look like somebody else's
            orphans = [s for s in await self.load(before) if s.id not in ours and s.id not in self._busy]
        except Exception as error:  # a database that is away for a moment
            log.warning("outbox_not_read", reason=f"{type(error).__name__}: {error}")
            return False
        if orphans:
            log.info("outbox_orphans", rows=len(orphans))
        self.hand_over(orphans)
        return bool(orphans)

    async def _forget_orphans(self) -> None:
        """At once: a process that dies soon after each start must not send the same again in each of its lives. (A work
        order sent again may bring back the very message that kills it.)"""
        try:
            await self._forget_sent()
        except Exception as error:  # a database that is away for a moment: they are forgotten at the next look
            log.warning("outbox_not_written", reason=f"{type(error).__name__}: {error}")

    async def _forget_sent(self) -> None:
        sent = self.take_sent()
        if not sent:
            return
        try:
            await self.forget(sent)
        except BaseException:
            self.give_back(sent)
            raise
        self.forgotten(sent)

    async def _send(self, batch: list[Stored]) -> None:
        """What is told about one goal leaves in order, its commands beside that: nobody waits for both in one queue.
        What is about different goals, and plain replies, leave side by side."""
        groups: dict[tuple[bool, str], list[Stored]] = {}
        for stored in batch:
            exchange, about = stored.message.exchange, stored.message.goal_id
            groups.setdefault((exchange == COMMANDS, about or ("" if exchange else str(stored.id))), []).append(stored)
        told = [rows for rows in groups.values() if rows[0].message.exchange == EVENTS]
        work = [rows for rows in groups.values() if rows[0].message.exchange != EVENTS]
        sending = [asyncio.create_task(self._send_group(rows)) for rows in work]
        try:
            if work and told:  # somebody waits for the one: the broker and we are busy with nothing else meanwhile
                await asyncio.wait(sending, timeout=TOLD_LATER_S)
            sending += [asyncio.create_task(self._send_group(rows)) for rows in told]
            self._pending[:0] = [row for rows in await asyncio.gather(*sending) for row in rows]
        finally:
            for task in sending:
                task.cancel()

    async def _send_group(self, rows: list[Stored]) -> list[Stored]:
        for position, row in enumerate(rows):
            try:
                reached("before_publish")
                await self.publish(row.message)
                reached("after_confirm")
            except Rejected as error:
                log.error("publish_refused", reason=error.reason, key=row.message.routing_key)
            except Retryable as error:
                log.warning("publish_waits", reason=error.reason, key=row.message.routing_key)
                return rows[position:]
            self._sent.append(row.id)
        return []


async def load_rows(connection: AsyncConnection, tables: Tables, before: datetime, limit: int = 500) -> list[Stored]:
    """The oldest rows stored before this time."""
    found = await tables.oldest.run(connection, {"before": before, "most": limit})
    return [Stored(row.id, Outgoing.from_json(row.message, row.body)) for row in found.rows]


async def forget_rows(connection: AsyncConnection, tables: Tables, ids: Sequence[int]) -> None:
    """All at once where they follow each other, as the rows of a message do."""
    if ids:
        await tables.forget.run(connection, [{"first": first, "last": last} for first, last in _ranges(ids)])


def _ranges(ids: Sequence[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for row in sorted(ids):
        if found and row <= found[-1][1] + 1:
            found[-1] = found[-1][0], row
        else:
            found.append((row, row))
    return found


async def purge_inbox(connection: AsyncConnection, tables: Tables, now: datetime) -> Any:
    return await connection.execute(delete(tables.inbox).where(tables.inbox.c.at < now - INBOX_KEPT))
