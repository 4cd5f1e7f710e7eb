"""What the ledger knows of engines from before this process began."""

from sqlalchemy import select

from services.inference.tables import generations
from shared.messaging.asyncio_engine import AsyncConnection


async def engines_used(connection: AsyncConnection) -> frozenset[str]:
    """Those that model servers have answered with, as far back as the ledger goes."""
    columns = generations.c
    query = select(columns.used).where(columns.state == "done", columns.failed.is_(False), columns.used.is_not(None))
    return frozenset((await connection.execute(query.distinct())).scalars())
