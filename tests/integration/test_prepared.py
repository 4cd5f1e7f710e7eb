"""Statements that go straight to SQLite do what they do by SQLAlchemy."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, bindparam, delete, func, insert, select, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, StatementError

from shared.messaging.asyncio_engine import AsyncConnection
from shared.messaging.columns import UTCDateTime
from shared.messaging.engine import make_engine
from shared.messaging.prepared import Prepared
from shared.messaging.sqlite import driver_of, open_writer, savepoint

METADATA = MetaData()
THINGS = Table(
    "things",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String(20), nullable=False),
    Column("at", UTCDateTime),
)
ADD = Prepared(insert(THINGS).returning(THINGS.c.id, sort_by_parameter_order=True))
RENAME = Prepared(update(THINGS).where(THINGS.c.id == bindparam("key")))
GET = Prepared(select(THINGS.c.name, THINGS.c.at).where(THINGS.c.id == bindparam("key")))
COUNT = Prepared(select(func.count()).select_from(THINGS).where(THINGS.c.name == "a"))
FORGET = Prepared(delete(THINGS).where(THINGS.c.id == bindparam("key")))
NOW = datetime(2026, 1, 2, 3, 4, 5, 678, UTC)


class Through:
    """Looks like a connection that is not ours: everything goes by SQLAlchemy."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.execute = connection.execute
        self.dialect = connection.dialect


@pytest.fixture(params=["straight", "by SQLAlchemy"])
async def connection(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[object]:
    engine = make_engine(make_url(f"sqlite+aiosqlite:///{tmp_path}/t.db"), schema="t")
    async with engine.begin() as connection:
        await connection.run_sync(METADATA.create_all)
        straight = request.param == "straight"
        assert driver_of(connection) is not None
        yield connection if straight else Through(connection)
    await engine.dispose()


async def test_rows_come_in_order_with_their_types(connection: AsyncConnection) -> None:
    rows = [{"name": name, "at": NOW} for name in "cab"]
    assert (await ADD.run(connection, rows)).values() == [1, 2, 3]
    row = (await GET.run(connection, {"key": 2})).one()
    assert (row.name, row.at, tuple(row)) == ("a", NOW, ("a", NOW))
    assert (await COUNT.run(connection)).values() == [1]
    assert (await GET.run(connection, {"key": 9})).one() is None


async def test_what_was_changed_is_counted(connection: AsyncConnection) -> None:
    await ADD.run(connection, [{"name": name, "at": None} for name in "abc"])
    assert (await RENAME.run(connection, {"key": 1, "name": "z"})).count == 1
    assert (await RENAME.run(connection, {"key": 7, "name": "z"})).count == 0
    assert (await RENAME.run(connection, {"key": 1, "at": NOW})).count == 1
    row = (await GET.run(connection, {"key": 1})).one()
    assert (row.name, row.at) == ("z", NOW)
    await FORGET.run(connection, [{"key": key} for key in (1, 2)])
    assert (await GET.run(connection, {"key": 2})).one() is None


async def test_errors_are_those_of_sqlalchemy(connection: AsyncConnection) -> None:
    await ADD.run(connection, {"name": "a", "at": None})
    with pytest.raises(IntegrityError):
        await ADD.run(connection, {"id": 1, "name": "b", "at": None})
    with pytest.raises(StatementError, match="key"):
        await GET.run(connection)


async def test_many_rows_do_not_keep_the_loop(connection: AsyncConnection) -> None:
    assert len((await ADD.run(connection, [{"name": "x", "at": NOW} for _ in range(500)])).rows) == 500


async def test_a_writer_commits_what_it_did_and_forgets_what_failed(tmp_path: Path) -> None:
    engine = make_engine(make_url(f"sqlite+aiosqlite:///{tmp_path}/t.db"), schema="t")
    async with engine.begin() as connection:
        await connection.run_sync(METADATA.create_all)
    writer = await open_writer(engine)

    async def fails_within(block: AbstractAsyncContextManager[None]) -> None:
        async with block:
            await ADD.run(writer.connection, {"name": "undone", "at": None})
            raise ZeroDivisionError

    for name in "ab":
        async with writer.transaction():
            await ADD.run(writer.connection, {"name": name, "at": None})
            with pytest.raises(ZeroDivisionError):
                await fails_within(savepoint(writer.connection))
    with pytest.raises(ZeroDivisionError):
        await fails_within(writer.transaction())
    await writer.close()
    async with engine.connect() as connection:
        names = (await connection.execute(select(THINGS.c.name).order_by(THINGS.c.id))).scalars().all()
    assert names == ["a", "b"]
    await engine.dispose()
