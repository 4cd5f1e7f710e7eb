"""An owner's schema: made where it is missing, brought up to date where it is older, refused where it is newer."""

import fcntl
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from sqlalchemy import Column, Integer, MetaData, Table, insert, select, text

from shared.errors import ConfigurationError
from shared.messaging.asyncio_engine import AsyncConnection


class Schema:
    """`migrations`: SQL statements, one per version after the first; only ever appended to."""

    def __init__(self, owner: str, tables: MetaData, migrations: Sequence[str]) -> None:
        self.owner, self.tables, self.migrations = owner, tables, migrations
        self._version = Table(
            "schema_version", tables, Column("version", Integer, primary_key=True), extend_existing=True
        )

    async def bring_up_to_date(self, connection: AsyncConnection) -> None:
        """Within the caller's transaction; replicas that start at once wait for each other. Raises ConfigurationError
        when a newer Warren was here."""
        if connection.dialect.name != "sqlite":
            await connection.execute(text("SELECT pg_advisory_xact_lock(7263541)"))
            await connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{self.owner}"'))
        await connection.run_sync(self.tables.create_all)
        found = (await connection.execute(select(self._version.c.version))).scalars().all()
        newest = 1 + len(self.migrations)
        if found and max(found) > newest:
            raise ConfigurationError(
                f"the database was written by a newer Warren (schema {max(found)}, this one knows {newest})",
                hint="update Warren, or name another database",
            )
        # New tables have all columns; one that was there before is brought up to date, step by step.
        for version in range(max(found) + 1 if found else newest, newest + 1):
            if found:
                await connection.execute(text(self.migrations[version - 2]))
            await connection.execute(insert(self._version).values(version=version))


def lock_sqlite(path: Path, *, owner: str) -> IO[str]:
    """A file that is locked as long as it is open. Raises ConfigurationError when another replica has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = open(f"{path}.lock", "w")  # noqa: SIM115  # held as long as the process lives
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise ConfigurationError(
            f"another {owner} already works on {path}: SQLite serves one replica only",
            field="WARREN_DATABASE_URL",
            hint="scale on PostgreSQL: WARREN_DATABASE_URL=postgresql+asyncpg://... (compose does)",
        ) from None
    return file
