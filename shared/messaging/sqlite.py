"""SQLite under SQLAlchemy's asyncio engine: statements run where they are called, a commit waits in a thread.

A statement of ours takes some ten microseconds; the way to a thread and back, which aiosqlite goes four times for each,
takes ten times as long, and up to five milliseconds while the loop is busy (so long a thread waits for the
interpreter). What waits for the disk or a lock, many rows at once and what is said to be long go to the connection's
own thread, one after another.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy.exc import DBAPIError

from shared.messaging.asyncio_engine import AsyncConnection

T = TypeVar("T")
BUSY_S = 5.0
"""How long a lock that somebody else holds is waited for."""
AT_ONCE_S, SLOW = 0.001, 100
"""How long the loop itself waits for a commit: a fast disk takes a fifth of it. After one that took longer, so many are
not waited for."""
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_RECOVERY)


class Connection:
    """What SQLAlchemy's dialect uses of an aiosqlite connection. `long`: all statements go to the thread."""

    def __init__(self, path: str) -> None:
        self._path, self._connection = path, None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._under_way = 0
        self._slow = 0
        self.long = False

    _connection: sqlite3.Connection | None

    async def open(self) -> "Connection":
        # No isolation level: the driver would begin transactions by guessing, and guess wrong before a savepoint.
        # No time-out: it would wait on the loop.
        self._connection = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
        return self

    @property
    def is_free(self) -> bool:
        """What is short may be done at once, by the caller: nothing is under way, and nothing said to be long."""
        return not (self.long or self._under_way)

    async def run(self, work: Callable[..., T], *arguments: Any, long: bool = False, soon: bool = False) -> T:
        """Here, or in the thread; there also what meets a lock, or what a cancelled caller no longer waits for.
        `soon`: the loop waits a moment for the thread, since to be woken by it takes longer than what it does."""
        if self.is_free and not long:
            try:
                return work(*arguments)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode not in _BUSY:
                    raise
        working = self._thread.submit(_patiently, work, arguments)
        if soon and self._is_done_at_once(working):
            return working.result()
        self._under_way += 1
        future = asyncio.wrap_future(working)
        future.add_done_callback(self._done)
        return await asyncio.shield(future)  # cancelled or not: it is done before what comes next

    def _is_done_at_once(self, working: "Future[Any]") -> bool:
        """Within AT_ONCE_S. A disk that was slower is not waited for so the next SLOW times."""
        if self._slow:
            self._slow -= 1
            return False
        with contextlib.suppress(TimeoutError):
            working.exception(AT_ONCE_S)
        self._slow = 0 if working.done() else SLOW
        return working.done()

    def _done(self, future: "asyncio.Future[Any]") -> None:
        self._under_way -= 1
        if not future.cancelled():
            future.exception()  # seen, even if nobody waits any more

    @property
    def opened(self) -> sqlite3.Connection:
        """Raises the error that SQLAlchemy takes for a lost connection."""
        if self._connection is None:
            raise ValueError("no active connection")
        return self._connection

    def cursor(self) -> "Cursor":
        return Cursor(self)

    async def commit(self) -> None:
        await self.run(self.opened.commit, long=True)

    async def rollback(self) -> None:
        await self.run(self.opened.rollback)

    async def create_function(self, *arguments: Any, **named: Any) -> None:
        self.opened.create_function(*arguments, **named)

    async def close(self) -> None:
        """The last connection of a file writes its log back: that may be long."""
        if self._connection is not None:
            await self.run(self._connection.close, long=True)
        self.stop()

    def stop(self) -> None:
        self._connection = None
        self._thread.shutdown(wait=False)


class Cursor:
    """A statement and its rows."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._cursor = connection.opened.cursor()
        self._rows: list[Any] = []

    async def __aenter__(self) -> "Cursor":
        return self

    @property
    def description(self) -> Any:
        return self._cursor.description

    @property
    def rowcount(self) -> int:
        return self._cursor.rowcount

    @property
    def lastrowid(self) -> int | None:
        return self._cursor.lastrowid

    async def execute(self, statement: str, parameters: Sequence[Any] = ()) -> None:
        await self._connection.run(self._execute, statement, parameters)

    def _execute(self, statement: str, parameters: Sequence[Any]) -> None:
        self._cursor.execute(statement, parameters)
        self._rows = self._cursor.fetchall() if self._cursor.description else []

    async def executemany(self, statement: str, parameters: Sequence[Sequence[Any]]) -> None:
        await self._connection.run(self._cursor.executemany, statement, parameters, long=True)

    async def fetchall(self) -> list[Any]:
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        await self._connection.run(self._cursor.close)


def driver_of(connection: AsyncConnection) -> Connection | None:
    """The driver's connection, where it is one of ours and in a transaction; statements may go straight to it."""
    inner = getattr(connection, "sync_connection", None)
    if inner is None or not inner.in_transaction():
        return None
    driver = inner.connection.driver_connection
    return driver if isinstance(driver, Connection) else None


async def straight(
    connection: AsyncConnection,
    statement: str,
    work: Callable[..., T],
    *arguments: Any,
    long: bool = False,
    soon: bool = False,
) -> T:
    """What `work` does with the driver of a connection of ours. Raises what SQLAlchemy would raise of `statement`."""
    driver = driver_of(connection)
    assert driver is not None  # the caller has looked, or the engine is ours (`engine.make_engine`)
    try:
        return await driver.run(work, driver.opened, *arguments, long=long, soon=soon)
    except sqlite3.Error as error:
        raise DBAPIError.instance(statement, None, error, sqlite3.Error, dialect=connection.dialect) from error


async def say(connection: AsyncConnection, statement: str) -> None:
    """A statement of transactions. A commit waits for the disk, so in the thread."""
    is_commit = statement == "COMMIT"
    await straight(connection, statement, sqlite3.Connection.execute, statement, long=is_commit, soon=is_commit)


@contextlib.asynccontextmanager
async def savepoint(connection: AsyncConnection) -> AsyncIterator[None]:
    """What is done within is undone when it raises; what was done before in the transaction stays. Where SQLite has
    given up the whole transaction (a full disk), it raises DBAPIError: nothing is left to go on with."""
    if driver_of(connection) is None:
        async with connection.begin_nested():
            yield
        return
    await say(connection, "SAVEPOINT one_of_many")
    try:
        yield
    except (Exception, asyncio.CancelledError):
        await say(connection, "ROLLBACK TO one_of_many")
        await say(connection, "RELEASE one_of_many")
        raise
    await say(connection, "RELEASE one_of_many")


def _patiently(work: Callable[..., T], arguments: Sequence[Any]) -> T:
    """In the thread: a lock is waited for, `BUSY_S` seconds at most."""
    last = time.monotonic() + BUSY_S
    while True:
        try:
            return work(*arguments)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode not in _BUSY or time.monotonic() > last:
                raise
        time.sleep(0.01)


@contextlib.asynccontextmanager
async def off_the_loop(connection: AsyncConnection) -> AsyncIterator[None]:
    """What is done with this connection meanwhile may take long (deleting thousands of rows): it goes to the thread."""
    driver = (await connection.get_raw_connection()).driver_connection
    if not isinstance(driver, Connection):
        yield
        return
    driver.long = True
    try:
        yield
    finally:
        driver.long = False
