"""A database that is away is nobody's fault: the message waits in a retry queue and no attempt is counted."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData
from sqlalchemy.exc import OperationalError

from shared.errors import Deferred, Retryable
from shared.messaging.database import Database, Unit
from shared.messaging.envelope import Envelope
from shared.messaging.publish import Stamp


class Away:
    """An engine whose database cannot be reached."""

    def connect(self) -> Any:
        raise ConnectionRefusedError("nobody listens on 5432")


async def _nowhere(_: object) -> None:
    raise AssertionError("nothing is published here")


async def test_an_outage_defers_and_a_refusal_counts(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/p.db", MetaData(), stamp=Stamp("planner", "p"))
    await database.open(_nowhere)
    running = asyncio.create_task(database.run())

    async def work(_: Unit) -> None:
        return None

    async def refused(_: Unit) -> None:
        raise OperationalError("INSERT", {}, Exception("disk is full"))

    with pytest.raises(Retryable, match="disk is full") as counted:
        await database.apply(refused, Envelope(message_id="m1"))
    assert not isinstance(counted.value, Deferred)
    kept = database._kept
    assert kept is not None
    real, kept.engine = kept.engine, Away()  # type: ignore[assignment]
    with pytest.raises(Deferred, match="the database is away"):
        await database.apply(work, Envelope(message_id="m2"))
    kept.engine = real
    await database.apply(work, Envelope(message_id="m2"))
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await database.close()
    await database.close()
