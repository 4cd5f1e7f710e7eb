"""What the ledger knows of engines from before this process began."""

from sqlalchemy import and_, select

from services.inference.rates import Rates, Took
from services.inference.tables import generations
from shared.contracts.generation import Generated
from shared.messaging.asyncio_engine import AsyncConnection


async def engines_used(connection: AsyncConnection) -> frozenset[str]:
    """Those that model servers have answered with, as far back as the ledger goes."""
    columns = generations.c
    query = select(columns.used).where(columns.state == "done", columns.failed.is_(False), columns.used.is_not(None))
    return frozenset((await connection.execute(query.distinct())).scalars())


async def recent(connection: AsyncConnection, *, most: int = 200) -> list[tuple[str, Generated, int]]:
    """The last answers of model servers, the newest last: host, answer, how many tokens it might have had."""
    columns = generations.c
    done = and_(columns.state == "done", columns.failed.is_(False), columns.placed.is_not(None))
    query = select(columns.placed, columns.result, columns.used, columns.max_tokens).where(done)
    found = []
    for row in await connection.execute(query.order_by(columns.since.desc()).limit(most)):
        answer = Generated.model_validate_json(row.result)
        if answer.engine == row.used and not answer.cached and row.max_tokens:
            found.append((row.placed, answer, row.max_tokens))
    return found[::-1]


async def learn(connection: AsyncConnection, rates: Rates) -> None:
    """What calls took before this process began."""
    for url, answer, most in await recent(connection):
        took = Took(answer.usage.tokens_out, most, answer.timings.first_token_s, answer.timings.total_s)
        rates.note(url, answer.model, took)
