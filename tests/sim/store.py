"""A transactional store in memory that outlives the process that uses it: the real SQL, run by a synchronous SQLite.

One transaction at a time: whoever comes while another is open waits for its end (serializable, the strictest that
PostgreSQL offers). A process that is killed loses what it had not committed.
"""

import asyncio
import functools
import sqlite3
from collections import deque, namedtuple
from collections.abc import Callable
from typing import Any, cast

from sqlalchemy import MetaData, create_engine
from sqlalchemy.pool import StaticPool

from tests.sim.loop import PROCESS, Process, point
from tests.sim.quick import Quick


class Store:
    """An owner's data. Make one per owner and `reset` it between schedules: the statement cache stays warm."""

    def __init__(self, tables: MetaData) -> None:
        self.engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"cached_statements": 1000})
        self.slow = self.engine.connect()
        self.driver = cast(sqlite3.Connection, self.slow.connection.driver_connection)
        self.driver.isolation_level = None
        tables.create_all(self.slow)
        self.slow.commit()
        self.driver.execute("PRAGMA foreign_keys=ON")
        self.quick = Quick(self.driver, self.slow.dialect)
        self._tables = [table.name for table in tables.sorted_tables]
        self._kept: list[tuple[str, list[Any]]] = []
        self.held_by: Process | None = None
        self._waiting: deque[tuple[Process, asyncio.Future[None]]] = deque()

    def keep(self) -> None:
        """What is stored now is what a `reset` goes back to."""
        for table in self._tables:
            rows = self.driver.execute(f"SELECT * FROM {table}").fetchall()
            if rows:
                self._kept.append((f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows))

    def reset(self) -> None:
        """The tables stay: SQLite would have to prepare each statement anew for a new database."""
        self._let_go()
        self._waiting.clear()
        self.driver.execute("BEGIN")
        for table in reversed(self._tables):
            self.driver.execute(f"DELETE FROM {table}")
        for insertion, rows in self._kept:
            self.driver.executemany(insertion, rows)
        self.driver.execute("COMMIT")

    def close(self) -> None:
        self.slow.close()
        self.engine.dispose()

    def rows(self, query: str) -> list[Any]:
        """What is stored, for the invariants: of what an open transaction has done, too."""
        cursor = self.driver.execute(query)
        return list(map(_shape_of(tuple(column[0] for column in cursor.description))._make, cursor.fetchall()))

    async def acquire(self, process: Process) -> None:
        if process.dead:
            raise GeneratorExit  # clean-up of a killed process has no effect
        if self.held_by is not None or self._waiting:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append((process, future))
            try:
                await future
            except asyncio.CancelledError:
                if future.done() and not future.cancelled():
                    self._next()
                raise
        self.held_by = process

    def begin(self) -> None:
        self.driver.execute("BEGIN")

    def commit(self) -> None:
        self.driver.execute("COMMIT")
        if self.slow.in_transaction():
            self.slow.commit()

    def release(self) -> None:
        self._let_go()
        self._next()

    def killed(self, process: Process) -> None:
        self._waiting = deque((p, f) for p, f in self._waiting if p is not process)
        if self.held_by is process:
            self.release()

    def _let_go(self) -> None:
        if self.driver.in_transaction:
            self.driver.execute("ROLLBACK")
        if self.slow.in_transaction():
            self.slow.rollback()
        self.held_by = None

    def _next(self) -> None:
        while self._waiting and self.held_by is None:
            process, future = self._waiting.popleft()
            if not process.dead and not future.done():
                self.held_by = process  # it is theirs from now on: nobody slips in between
                future.set_result(None)


class SimEngine:
    """What the product takes for an AsyncEngine."""

    def __init__(self, store: Store) -> None:
        self.store, self.process = store, PROCESS.get()
        self.process.on_kill.append(lambda: store.killed(self.process))

    def begin(self) -> "Transaction":
        return Transaction(self.store, self.process)

    def connect(self) -> "Reading":
        return Reading(self.store, self.process)

    async def dispose(self) -> None:
        pass


class Reading:
    """An open connection; what was not committed is rolled back. No generator: that costs more than what it does."""

    def __init__(self, store: Store, process: Process) -> None:
        self.store, self.process = store, process

    async def __aenter__(self) -> "SimConnection":
        await self.store.acquire(self.process)
        try:
            await self._began()
            self.store.begin()
        except BaseException:
            self._let_go()
            raise
        return SimConnection(self.store)

    async def _began(self) -> None:
        """Nothing can be killed here."""

    async def __aexit__(self, kind: Any, *_: object) -> None:
        self._let_go()

    def _let_go(self) -> None:
        if not self.process.dead:
            self.store.release()


class Transaction(Reading):
    """Committed at its end, unless that is an error."""

    async def _began(self) -> None:
        await point("before_begin")

    async def __aexit__(self, kind: Any, *_: object) -> None:
        try:
            if kind is None:
                await point("before_commit")
                self.store.commit()
        finally:
            self._let_go()
        if kind is None:
            await point("after_commit")


class SimKept:
    """What the product takes for KeptConnections: here each transaction has a connection of its own."""

    def __init__(self, engine: SimEngine) -> None:
        self.transaction, self.read = engine.begin, engine.connect

    async def close(self) -> None:
        pass


class SimConnection:
    """What the product takes for an AsyncConnection."""

    def __init__(self, store: Store) -> None:
        self._store, self._savepoints, self.dialect = store, 0, store.slow.dialect

    async def execute(self, statement: Any, parameters: Any = None) -> Any:
        await point("execute")
        if (result := self._store.quick.execute(statement, parameters)) is not None:
            return result
        return self._store.slow.execute(statement, parameters)

    async def get_raw_connection(self) -> Any:
        return self._store.slow.connection

    async def run_sync(self, work: Callable[..., Any], *args: Any) -> Any:
        return work(self._store.slow, *args)

    def begin_nested(self) -> "Savepoint":
        self._savepoints += 1
        return Savepoint(self._store.driver, f"s{self._savepoints}")


class Savepoint:
    def __init__(self, driver: sqlite3.Connection, name: str) -> None:
        self._driver, self._name = driver, name

    async def __aenter__(self) -> None:
        self._driver.execute(f"SAVEPOINT {self._name}")

    async def __aexit__(self, kind: Any, *_: object) -> None:
        if kind is None:
            self._driver.execute(f"RELEASE {self._name}")
        elif not PROCESS.get().dead:
            self._driver.execute(f"ROLLBACK TO {self._name}")


@functools.cache
def _shape_of(names: tuple[str, ...]) -> Any:
    return namedtuple("Row", names)  # the names come from the query
