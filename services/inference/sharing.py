"""Of waiting calls that are equal: what one has brought is the answer of all, and one is asked."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from services.inference.cache import Cache, alike
from services.inference.generation import Choice
from services.inference.rows import Row
from shared.messaging.database import Database


async def share(
    rows: Sequence[Row], choices: Mapping[str, Choice], cache: Cache, *, database: Database, now: datetime
) -> tuple[bool, list[Row]]:
    """Answers what an equal call has brought, if anything; and of equal ones leaves one to be asked."""
    keys = {row.id: (row.share, choices[row.id].engine) for row in rows if row.share and choices[row.id].url}
    if not keys:
        return False, list(rows)
    same, answered = alike(keys), False
    async with database.unit() as unit:
        placed = await cache.placed(unit.connection, same, now)
        for key, call in placed.items():
            given = await cache.answer(unit.connection, call, same[key])
            answered |= given is not None
            for result, waiters in given or ():
                for waiter in waiters:
                    unit.publish(result, to=waiter)
    first = {group[0] for key, group in same.items() if key not in placed}
    return answered, [row for row in rows if row.id not in keys or row.id in first]
