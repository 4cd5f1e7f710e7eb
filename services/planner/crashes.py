"""Deaths of processes, joined with the messages that they held: the end of a dead letter's story.

A death and the parking of the message that caused it are told by different senders in any order, so they are joined
when somebody looks.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, String, Table, Text, delete, insert, select

from services.planner.handlers import Handlers
from services.planner.tables import TABLES, parked_envelopes
from shared.contracts.dead_letters import Crash
from shared.contracts.supervision import ChildDied
from shared.messaging.columns import UTCDateTime

if TYPE_CHECKING:
    from shared.messaging.database import Unit

KEPT = timedelta(days=7)
SHOWN = 5
"""The latest deaths that a dossier tells of."""

crashes = Table(
    "crashes",
    TABLES,
    Column("id", String(255), primary_key=True),
    Column("at", UTCDateTime, nullable=False, index=True),
    Column("body", Text, nullable=False),
)
crash_messages = Table(
    "crash_messages",
    TABLES,
    Column("message_id", String(255), primary_key=True),
    Column("crash", String(255), primary_key=True, index=True),
)


@dataclass(frozen=True)
class Crashes:
    """Hears of deaths in the planner's name, and remembers those of processes that held something."""

    handlers: Handlers
    clock: Callable[[], datetime]

    async def on_child_died(self, message: ChildDied, unit: Unit) -> None:
        """Ends the dead worker's leases, and keeps what it held for KEPT."""
        await self.handlers.on_child_died(message, unit)
        if not message.held:
            return
        identity, now = unit.envelope.message_id, self.clock()
        await _forget_before(unit.connection, now - KEPT)
        row = {"id": identity, "at": now, "body": message.model_dump_json()}
        await unit.connection.execute(insert(crashes).values(row))
        ids = sorted({held.message_id for held in message.held})
        rows = [{"message_id": one, "crash": identity} for one in ids]
        await unit.connection.execute(insert(crash_messages).values(rows))


async def crashes_of(connection: Any, letter_id: str, now: datetime) -> tuple[Crash, ...]:
    """Of processes that held this dead letter's message, the latest first."""
    mine = parked_envelopes.c.id == letter_id
    envelope = (await connection.execute(select(parked_envelopes.c.envelope).where(mine))).scalar_one_or_none()
    message_id = json.loads(envelope or "{}").get("message_id")
    if not message_id:
        return ()
    held = select(crash_messages.c.crash).where(crash_messages.c.message_id == message_id)
    found = select(crashes).where(crashes.c.id.in_(held)).order_by(crashes.c.at.desc()).limit(SHOWN)
    return tuple(_crash(row, now) for row in await connection.execute(found))


def _crash(row: Any, now: datetime) -> Crash:
    died = ChildDied.model_validate_json(row.body)
    return Crash(
        worker=died.instance,
        reason=died.reason,
        ago_s=round((now - row.at).total_seconds(), 1),
        exit_code=died.exit_code,
        signal=died.signal,
        out_of_memory=died.out_of_memory,
        memory_mb=died.memory_mb,
        held=len(died.held),
        last_lines=died.last_lines,
    )


async def _forget_before(connection: Any, moment: datetime) -> None:
    old = select(crashes.c.id).where(crashes.c.at < moment)
    await connection.execute(delete(crash_messages).where(crash_messages.c.crash.in_(old)))
    await connection.execute(delete(crashes).where(crashes.c.at < moment))
