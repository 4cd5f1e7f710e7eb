"""A call goes on elsewhere: what its row says from then on. Nothing changes of one that is no longer ours."""

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import update

from services.inference.rows import Claim
from services.inference.tables import generations
from shared.contracts.generation import Tried
from shared.messaging.asyncio_engine import AsyncConnection


async def elsewhere(connection: AsyncConnection, claim: Claim, *, avoid: str) -> None:
    """It waits again, for another host than this."""
    await _waits(connection, claim, {"avoid": avoid})


async def follow(connection: AsyncConnection, claim: Claim, *, route: str, tried: Sequence[Tried]) -> None:
    """It waits again, for the next engine of its chain, at any host."""
    stored = json.dumps([one.model_dump() for one in tried])
    await _waits(connection, claim, {"route": route, "tried": stored, "avoid": None, "used": None})


async def _waits(connection: AsyncConnection, claim: Claim, changes: Mapping[str, str | None]) -> None:
    row = generations.c
    ours = (row.id == claim.id, row.state == "running", row.attempt == claim.attempt)
    free = {"state": "waiting", "owner": None, "lease_until": None, "lane": None}
    await connection.execute(update(generations).where(*ours).values(**free, **changes))
