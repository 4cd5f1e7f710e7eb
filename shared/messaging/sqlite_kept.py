"""Connections to SQLite that are kept for one transaction after the other.

SQLAlchemy takes all of a connection's transactions for one, which never ends: to take a connection from its pool, to
begin, to commit and to give it back cost it more than a small transaction's work.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from shared.messaging.asyncio_engine import AsyncConnection, AsyncEngine
from shared.messaging.sqlite import say

READERS = 3
"""Kept at most; more at once are opened and closed."""


@dataclass
class KeptConnections:
    """A file's one writer, for which to wait here is fair (SQLite's own waiting is not), and its readers. After an
    error a connection is closed, and with it goes what was not committed."""

    engine: AsyncEngine
    _write: asyncio.Lock = field(default_factory=asyncio.Lock)
    _writer: AsyncConnection | None = None
    _readers: list[AsyncConnection] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Committed at its end."""
        async with self._write:
            writer, self._writer = self._writer or await _opened(self.engine), None
            async with _closed_by_errors(writer):
                await say(writer, "BEGIN")
                yield writer
                await say(writer, "COMMIT")
            self._writer = writer

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Sees what is committed when its first statement runs. What it writes is undone."""
        reader = self._readers.pop() if self._readers else await _opened(self.engine)
        async with _closed_by_errors(reader):
            await say(reader, "BEGIN")
            yield reader
            await say(reader, "ROLLBACK")
        if len(self._readers) < READERS:
            self._readers.append(reader)
        else:
            await reader.close()

    async def close(self) -> None:
        kept = [*self._readers, *([self._writer] if self._writer else [])]
        self._writer, self._readers = None, []
        for connection in kept:
            await connection.close()


async def _opened(engine: AsyncEngine) -> AsyncConnection:
    connection = await engine.connect()
    try:
        await connection.begin()
        await say(connection, "ROLLBACK")  # SQLAlchemy has begun one; nobody tells it of this
    except BaseException:
        await connection.close()
        raise
    return connection


@contextlib.asynccontextmanager
async def _closed_by_errors(connection: AsyncConnection) -> AsyncIterator[None]:
    try:
        yield
    except (Exception, asyncio.CancelledError):
        await asyncio.shield(asyncio.ensure_future(connection.close()))
        raise
