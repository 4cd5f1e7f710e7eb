"""A small stateful service on the real runtime, for the delivery suite. Its one command is told what to do with itself.

`Forget(finding_id=...)`: every effect is a row of `effects`. "reject", "crash", "defer" and "cancel" do as they say,
after their effect, which must be undone; "once" crashes at its first attempt; "die" ends the process in its handler,
"die-after" between commit and publish; anything else is done, and said as an event to the queue of the planner.

As a process: `python -m tests.integration.scratch`, with the settings of any service in its environment.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select

from shared.contracts.findings import Forget
from shared.contracts.message import Done
from shared.contracts.supervision import ChildDied
from shared.errors import Cancelled, Deferred, Rejected
from shared.messaging.database import Unit
from shared.messaging.topology import MEMORY
from shared.runtime.service import Service
from shared.runtime.settings import MeshSettings

KEY = Forget.key()
QUEUE = replace(MEMORY, prefetch=20)


@dataclass
class Scratch:
    """`seen`: (what, attempt) of every time the handler ran, in order."""

    service: Service
    effects: Table
    seen: list[tuple[str, int]] = field(default_factory=list)

    async def on_forget(self, message: Forget, unit: Unit) -> Done:
        what = message.finding_id or ""
        self.seen.append((what, unit.envelope.attempt))
        if what == "die":
            os._exit(9)
        await unit.connection.execute(insert(self.effects).values(what=what))
        unit.publish(ChildDied(service="scratch", instance=what, reason="told"), subject="s")
        if what == "die-after":
            unit.after_commit(lambda: os._exit(9))
        self._fail(what, unit)
        return Done(count=1)

    def _fail(self, what: str, unit: Unit) -> None:
        if what == "reject":
            raise Rejected("finding_id: never", field="finding_id", hint="try another")
        if what == "defer" and len(self.seen) == 1:
            raise Deferred("not now", delay_s=0.5)
        if what == "cancel":
            raise Cancelled("nobody wants it")
        if what == "crash" or (what == "once" and unit.envelope.attempt == 1):
            raise RuntimeError("the handler broke")

    async def done(self) -> list[str]:
        """Effects that are committed, in order."""
        async with self.service.database.read() as connection:
            rows = await connection.execute(select(self.effects.c.what).order_by(self.effects.c.id))
            return list(rows.scalars())


def build(settings: MeshSettings) -> Scratch:
    metadata = MetaData()
    columns = (Column("id", Integer, primary_key=True, autoincrement=True), Column("what", String(200)))
    effects = Table("effects", metadata, *columns)
    service = Service("memory", settings, tables=metadata)
    scratch = Scratch(service, effects)
    service.apply(QUEUE, Forget, scratch.on_forget)
    return scratch


@contextlib.asynccontextmanager
async def running(service: Service) -> AsyncIterator[None]:
    """In this process, drained at the end. An error of its background work fails the test."""
    await service.start(wait_s=60)
    try:
        yield
    finally:
        async with asyncio.timeout(60):
            await service.stop()
    if service.failed and service.failed.done():
        service.failed.result()


@contextlib.asynccontextmanager
async def scratch_on(url: str, home: Path) -> AsyncIterator[Scratch]:
    scratch = build(MeshSettings(home=home, amqp_url=url, instance="memory-1"))
    async with running(scratch.service):
        yield scratch


if __name__ == "__main__":
    from shared.runtime.run import run

    run(build(MeshSettings()).service)
