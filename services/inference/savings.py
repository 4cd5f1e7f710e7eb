"""What was not paid again: counted beside the ledger, in the transaction that answers or joins."""

from typing import Literal

from sqlalchemy import func, select

from services.inference.tables import generations, savings
from shared.contracts.generation import Generate, Generated
from shared.contracts.tokens import CallCost
from shared.messaging.asyncio_engine import AsyncConnection, upsert


async def note(connection: AsyncConnection, call: str, what: Literal["asked_again", "joined"]) -> None:
    """One more was answered without a call of its own."""
    row = upsert(connection, savings).values(**{"call": call, "asked_again": 0, "joined": 0, what: 1})
    more = row.on_conflict_do_update(index_elements=["call"], set_={what: savings.c[what] + 1})
    await connection.execute(more)


async def costs(connection: AsyncConnection, goal_id: str, *, limit: int) -> tuple[list[CallCost], int]:
    """The newest calls of a goal, oldest first, and how many more there are."""
    columns = generations.c
    of_goal = columns.goal_id == goal_id
    query = (
        select(columns.state, columns.request, columns.result, columns.used, savings.c.asked_again, savings.c.joined)
        .select_from(generations.outerjoin(savings, savings.c.call == columns.id))
        .where(of_goal)
        .order_by(columns.since.desc(), columns.id)
        .limit(limit)
    )
    rows = list(await connection.execute(query))
    count = (await connection.execute(select(func.count()).select_from(generations).where(of_goal))).scalar_one()
    found = [
        _cost(row.state, row.request, row.result, row.used, (row.asked_again or 0, row.joined or 0)) for row in rows
    ]
    return found[::-1], count - len(found)


def _cost(state: str, request: str, result: str | None, used: str | None, saved: tuple[int, int]) -> CallCost:
    asked = Generate.model_validate_json(request)
    answer = Generated.model_validate_json(result) if result else None
    key = asked.call.model_dump(include={"step", "purpose", "ordinal", "run", "epoch"})
    counts = {"asked_again": saved[0], "joined": saved[1]}
    if answer is None:
        return CallCost(**key, **counts, state="running" if state == "running" else "waiting", engine=asked.engine)
    return CallCost(
        **key,
        **counts,
        state="failed" if answer.finish == "failed" else "done",
        engine=answer.engine,
        tokens_in=answer.usage.tokens_in,
        tokens_out=answer.usage.tokens_out,
        seconds=answer.timings.total_s,
        earlier=answer.cached and used is None,
        cache=answer.cached and used is not None,
    )
