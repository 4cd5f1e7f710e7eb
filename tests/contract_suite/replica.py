"""A database opened by one replica of a service, and an owner of data that opens as many as are asked for."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from sqlalchemy import Column, Integer, MetaData, String, Table, func, insert, select, update

from shared.contracts.message import Done, Message
from shared.contracts.supervision import ChildDied
from shared.errors import Retryable
from shared.messaging.database import Database, Unit
from shared.messaging.envelope import Envelope, Outgoing
from shared.messaging.publish import Stamp

DEADLINE_S = 20.0
Work = Callable[[Unit], Awaitable[Message | None]]


@dataclass
class Replica:
    """A database opened by one replica; `published`: what its relay sent. It sends nothing while `broker_away`."""

    database: Database
    effects: Table
    published: list[str] = field(default_factory=list)
    broker_away: bool = False
    tried: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    async def publish(self, out: Outgoing) -> None:
        self.tried.set()
        await asyncio.sleep(0)  # as any network does, it gives others a turn
        if self.broker_away:
            raise Retryable("no confirm")
        self.published.append(out.message_id)

    async def open(self) -> None:
        await self.database.open(self.publish)
        self.tasks.append(asyncio.create_task(self.database.run()))

    def start_relay(self) -> None:
        self.tasks.append(asyncio.create_task(self.database.relay.run()))

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.database.close()

    def doing(self, what: str, error: Exception | None = None) -> Work:
        async def work(unit: Unit) -> Done:
            await unit.connection.execute(insert(self.effects).values(what=what))
            unit.publish(ChildDied(service="s", instance=what, reason="r"), subject="s")
            if error:
                raise error
            return Done(count=1)

        return work

    async def apply(self, work: Work, message_id: str | None = None, *, once: bool = True) -> None:
        envelope = Envelope(message_id=message_id or str(uuid4()), reply_to="client.me")
        await asyncio.wait_for(self.database.apply(work, envelope, once=once), DEADLINE_S)

    async def done(self) -> list[str]:
        async with self.database.read() as connection:
            rows = await connection.execute(select(self.effects.c.what).order_by(self.effects.c.id))
            return list(rows.scalars())

    async def count(self, table: Table) -> int:
        async with self.database.read() as connection:
            return int((await connection.execute(select(func.count()).select_from(table))).scalar_one())

    async def left_behind(self) -> int:
        """Rows of the outbox, made old enough to be taken for a dead replica's."""
        outbox = self.database.messaging.outbox
        async with self.database.engine.begin() as connection:
            await connection.execute(update(outbox).values(at=datetime.now(UTC) - timedelta(minutes=1)))
        return await self.count(outbox)


@dataclass
class Owner:
    url: str
    name: str
    stack: AsyncExitStack

    async def replica(self, number: int = 1, *, url: str | None = None) -> Replica:
        metadata = MetaData()
        columns = (Column("id", Integer, primary_key=True), Column("what", String(50), unique=False))
        effects = Table("effects", metadata, *columns)
        replica = Replica(Database(url or self.url, metadata, stamp=Stamp(self.name, f"r{number}")), effects)
        await self.open(replica)
        self.stack.push_async_callback(replica.close)
        return replica

    async def open(self, replica: Replica) -> None:
        """As a process of its own would."""
        await replica.open()
