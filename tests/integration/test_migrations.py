"""Databases of earlier versions are brought up to date at start; one of a newer version is left alone."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import Column, MetaData, String, Table, select, text

from shared.errors import ConfigurationError
from shared.messaging.database import Database
from shared.messaging.publish import Stamp

ADDS_COLOUR = "ALTER TABLE lamps ADD COLUMN colour VARCHAR(20) DEFAULT 'white'"


async def opened(path: Path, *, columns: Sequence[str], migrations: Sequence[str] = ()) -> Database:
    metadata = MetaData()
    Table("lamps", metadata, *(Column(name, String(20)) for name in columns))
    url = f"sqlite+aiosqlite:///{path}/lamps.db"
    database = Database(url, metadata, stamp=Stamp("planner", "p"), migrations=migrations)
    await database.open(_nowhere)
    return database


async def _nowhere(_: object) -> None:
    raise AssertionError("nothing is published here")


async def test_a_database_of_the_version_before_gets_the_steps_it_lacks_once(tmp_path: Path) -> None:
    old = await opened(tmp_path, columns=["name"])
    async with old.unit() as unit:
        await unit.connection.execute(text("INSERT INTO lamps (name) VALUES ('north')"))
    await old.close()
    for _ in range(2):
        new = await opened(tmp_path, columns=["name", "colour"], migrations=[ADDS_COLOUR])
        async with new.read() as connection:
            rows = (await connection.execute(select(text("name, colour FROM lamps")))).all()
        await new.close()
    assert rows == [("north", "white")]


async def test_a_new_database_needs_no_steps(tmp_path: Path) -> None:
    new = await opened(tmp_path, columns=["name", "colour"], migrations=[ADDS_COLOUR])
    await new.close()


async def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    await (await opened(tmp_path, columns=["name", "colour"], migrations=[ADDS_COLOUR])).close()
    with pytest.raises(ConfigurationError, match="newer Warren"):
        await opened(tmp_path, columns=["name"])
