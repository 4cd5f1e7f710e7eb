"""Memory's tables, portable between SQLite and PostgreSQL. Times are seconds since the epoch; JSON is text."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

from shared.messaging.asyncio_engine import AsyncConnection, upsert

_metadata = MetaData()
HASH = String(64)

texts = Table(  # the library: a text once, however many files and corpora hold it
    "texts",
    _metadata,
    Column("sha256", HASH, primary_key=True),
    Column("title", Text, nullable=False),
    Column("characters", Integer, nullable=False),
    Column("passages", Integer, nullable=False),
    Column("touched_at", Double, nullable=False, index=True),  # last time it was offered, or left a corpus
    Column("cuts", Text, nullable=False),  # [[start, end, page, heading], ...]
    Column("text", Text, nullable=False),  # last: SQLite reads the columns before it without it
)
parses = Table(  # what became of a file's bytes: a text, or the reason why there is none
    "parses",
    _metadata,
    Column("raw_sha256", HASH, primary_key=True),
    Column("kind", String(8), primary_key=True),
    Column("parser", Integer, primary_key=True),
    Column("text_sha256", HASH),
    Column("reason", Text),
    Column("again_at", Double),  # a passing reason (time, memory) is not held against the file for ever
    Column("at", Double, nullable=False),
)
corpora = Table("corpora", _metadata, Column("name", String(64), primary_key=True))
members = Table(
    "members",
    _metadata,
    Column("corpus", String(64), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("raw_sha256", HASH, nullable=False),
    Column("text_sha256", HASH, nullable=False, index=True),
)
library_clock = Table(  # one row; its lock makes changes visible in the order of their numbers
    "library_clock",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("library", String(36), nullable=False),
)
changes = Table(  # the newest change of each text, corpus and goal's findings: what an index has to catch up with
    "changes",
    _metadata,
    Column("kind", String(8), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False, index=True),
)
transfers = Table(
    "transfers",
    _metadata,
    Column("transfer_id", String(64), primary_key=True),
    Column("corpus", String(64), nullable=False),
    Column("replace", Boolean, nullable=False),
    Column("parts", Integer, nullable=False),
    Column("state", String(10), nullable=False, index=True),  # offered, finishing, done, failed
    Column("worker", Text),
    Column("lease_until", Double),
    Column("attempts", Integer, nullable=False, default=0),
    Column("result", Text),
    Column("updated_at", Double, nullable=False),
)
transfer_parts = Table(
    "transfer_parts",
    _metadata,
    Column("transfer_id", String(64), primary_key=True),
    Column("part", Integer, primary_key=True),
)
transfer_files = Table(
    "transfer_files",
    _metadata,
    Column("transfer_id", String(64), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("part", Integer, nullable=False),
    Column("raw_sha256", HASH, nullable=False),
    Column("size", BigInteger, nullable=False),
    Index("transfer_files_raw", "transfer_id", "raw_sha256"),
)
waiters = Table(  # whoever asked for the end of a transfer: the request's envelope
    "transfer_waiters",
    _metadata,
    Column("transfer_id", String(64), primary_key=True),
    Column("message_id", String(255), primary_key=True),
    Column("envelope", Text, nullable=False),
)
chunks = Table(  # raw bytes on their way to the parser; gone once parsed, or after a day
    "chunks",
    _metadata,
    Column("raw_sha256", HASH, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("at", Double, nullable=False, index=True),
)
findings = Table(
    "findings",
    _metadata,
    Column("finding_id", String(64), primary_key=True),
    Column("goal_id", Text, nullable=False, index=True),
    Column("namespace", String(64), nullable=False),
    Column("number", Integer, nullable=False),
    Column("goal", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("corpora", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("at", Double, nullable=False),
    Index("findings_newest", "namespace", "at"),
)
pins = Table(  # texts that remembered findings cite: they stay although no corpus holds them any more
    "pins",
    _metadata,
    Column("text_sha256", HASH, primary_key=True),
    Column("namespace", String(64), primary_key=True),
    Column("goal_id", Text, primary_key=True),
)
vectors = Table(  # of passages; an empty one: this passage cannot have one
    "vectors",
    _metadata,
    Column("passage", String(80), primary_key=True),  # text_sha256/position: one column, so that many can be asked for
    Column("model", String(200), primary_key=True),
    Column("text_sha256", HASH, nullable=False),
    Column("position", Integer, nullable=False),
    Column("vector", LargeBinary, nullable=False),  # float32, little-endian, of length 1
    Index("vectors_text", "text_sha256", "model", "position"),
)
embedded = Table(  # texts all of whose passages are embedded, and the change from which on searches see it
    "embedded",
    _metadata,
    Column("text_sha256", HASH, primary_key=True),
    Column("model", String(200), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("passages", Integer, nullable=False),
    Column("signs", LargeBinary, nullable=False),  # of its vectors' numbers, a bit each: what a search looks through
)
PAGE = 500
"""Rows or keys of one statement: far below SQLite's 32,766 variables."""


def schema() -> MetaData:
    """A fresh copy of the tables for one database: messaging adds its own tables to it."""
    copy = MetaData()
    for table in _metadata.tables.values():
        table.to_metadata(copy)
    return copy


async def put(
    connection: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]], *, replace: Collection[str] = ()
) -> None:
    """Inserts rows; where one with the same primary key exists, its columns `replace` are set anew, the rest stays."""
    statement = upsert(connection, table)
    keys = [column.name for column in table.primary_key]
    if replace:
        statement = statement.on_conflict_do_update(
            index_elements=keys, set_={name: statement.excluded[name] for name in replace}
        )
    else:
        statement = statement.on_conflict_do_nothing(index_elements=keys)
    for at in range(0, len(rows), PAGE):
        await connection.execute(statement, [dict(row) for row in rows[at : at + PAGE]])


def pages(keys: Collection[str]) -> list[list[str]]:
    """Keys in portions that one statement can name, in a fixed order (locks are then taken in one order, too)."""
    ordered = sorted(set(keys))
    return [ordered[at : at + PAGE] for at in range(0, len(ordered), PAGE)]
