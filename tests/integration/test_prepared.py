"""Statements that go straight to SQLite do what they do by SQLAlchemy."""

import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, bindparam, delete, func, insert, select, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError

from shared.messaging.asyncio_engine import AsyncConnection
from shared.messaging.columns import UTCDateTime
from shared.messaging.database import Database
from shared.messaging.engine import make_engine
from shared.messaging.envelope import Outgoing
from shared.messaging.prepared import Prepared
from shared.messaging.publish import Stamp
from shared.messaging.sqlite import driver_of, savepoint, straight
from shared.messaging.sqlite_kept import KeptConnections

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
DEFERRED = "CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)"
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


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[KeptConnections]:
    engine = make_engine(make_url(f"sqlite+aiosqlite:///{tmp_path}/t.db"), schema="t")
    async with engine.begin() as connection:
        await connection.run_sync(METADATA.create_all)
    kept = KeptConnections(engine)
    yield kept
    await kept.close()
    await engine.dispose()


async def _names(kept: KeptConnections) -> list[str]:
    async with kept.read() as connection:
        found = await connection.execute(select(THINGS.c.name).order_by(THINGS.c.id))
        return list(found.scalars())


async def test_a_kept_writer_commits_what_it_did_and_forgets_what_failed(kept: KeptConnections) -> None:
    async def fails(connection: AsyncConnection) -> None:
        await ADD.run(connection, {"name": "undone", "at": None})
        raise ZeroDivisionError

    for name in "ab":
        async with kept.transaction() as connection:
            await ADD.run(connection, {"name": name, "at": None})
            with pytest.raises(ZeroDivisionError):
                async with savepoint(connection):
                    await fails(connection)
    with pytest.raises(ZeroDivisionError):
        async with kept.transaction() as connection:
            await fails(connection)
    assert await _names(kept) == ["a", "b"]


async def test_kept_readers_see_what_is_committed_each_time_and_survive_an_error(kept: KeptConnections) -> None:
    for many in range(1, 3):
        async with kept.transaction() as connection:
            await ADD.run(connection, {"name": "new", "at": None})
        async with kept.read() as one, kept.read() as other:  # at once
            for reader in (one, other):
                assert len((await reader.execute(select(THINGS.c.name))).all()) == many
    with pytest.raises(ZeroDivisionError):
        async with kept.read():
            raise ZeroDivisionError
    assert await _names(kept) == ["new", "new"]


async def test_what_a_reader_writes_is_undone(kept: KeptConnections) -> None:
    async with kept.read() as connection:
        await ADD.run(connection, {"name": "stray", "at": None})
    async with kept.transaction() as connection:  # it holds no lock either
        await ADD.run(connection, {"name": "kept", "at": None})
    assert await _names(kept) == ["kept"]


async def test_what_fails_at_the_commit_is_an_error_of_sqlalchemy_and_leaves_nothing(tmp_path: Path) -> None:
    """Services wait for a database that refuses for a moment; an error that they do not know would end them."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/t.db", MetaData(), stamp=Stamp("owner", "owner-1"))
    await database.open(_nowhere)
    async with database.unit() as unit:
        for table in ("CREATE TABLE parent (id INTEGER PRIMARY KEY)", DEFERRED):
            await unit.connection.execute(text(table))

    async def orphan() -> None:
        async with database.unit() as unit:
            await unit.connection.execute(text("INSERT INTO child VALUES (7)"))

    for _ in range(2):
        with pytest.raises(IntegrityError):
            await orphan()
    async with database.unit() as unit:
        found = await unit.connection.execute(text("SELECT count(*) FROM child"))
        assert found.scalar_one() == 0
    await database.close()


async def test_a_transaction_that_sqlite_gave_up_is_not_gone_on_with(kept: KeptConnections) -> None:
    async def given_up() -> None:
        async with kept.transaction() as connection, savepoint(connection):
            await straight(connection, "", sqlite3.Connection.rollback)  # as SQLite does when the disk is full
            raise ZeroDivisionError

    with pytest.raises(DBAPIError, match="savepoint"):
        await given_up()


async def _nowhere(out: Outgoing) -> None:
    raise AssertionError(f"nothing is published here: {out.type}")
