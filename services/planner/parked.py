"""Dead letters as rows: the planner's `parked` table. Nothing is decided here."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, select

from services.planner.tables import parked, parked_envelopes
from shared.messaging.asyncio_engine import AsyncConnection

ID_PREFIX = 8
"""Characters of a dead letter's id that stand for it, as reasons name it."""


@dataclass(frozen=True)
class Parked:
    """Dead letters within one transaction; rows are plain mappings of the table's columns."""

    connection: AsyncConnection

    async def add(self, row: dict[str, Any], envelope: str) -> bool:
        """False when it is there already (the same letter was delivered twice)."""
        if (await self.connection.execute(select(parked.c.id).where(parked.c.id == row["id"]))).first():
            return False
        await self.connection.execute(insert(parked).values(row))
        await self.connection.execute(insert(parked_envelopes).values(id=row["id"], envelope=envelope))
        return True

    async def newest(self, limit: int) -> list[Any]:
        return list(
            await self.connection.execute(select(parked).order_by(parked.c.at.desc(), parked.c.id).limit(limit))
        )

    async def find(self, letter_id: str) -> Any:
        """By its id, or by the beginning of it if that is at least eight characters long and no other's."""
        same = parked.c.id == letter_id
        if len(letter_id) >= ID_PREFIX:
            same = parked.c.id.startswith(letter_id, autoescape=True)
        rows = (await self.connection.execute(select(parked).where(same).limit(2))).all()
        return rows[0] if len(rows) == 1 else None

    async def take(self, letter_id: str) -> tuple[Any, str] | None:
        """The row and its envelope (JSON, or "" where none was kept), removed; None when somebody else was first."""
        row = await self.find(letter_id)
        if row is None or (await self.connection.execute(delete(parked).where(parked.c.id == row.id))).rowcount != 1:
            return None
        mine = parked_envelopes.c.id == row.id
        envelope = (await self.connection.execute(select(parked_envelopes.c.envelope).where(mine))).scalar_one_or_none()
        await self.connection.execute(delete(parked_envelopes).where(mine))
        return row, envelope or ""
