"""A transactional store in memory that outlives the process that uses it: the real SQL, run by a synchronous SQLite.

One transaction at a time: whoever comes while another is open waits for its end (serializable, the strictest that
PostgreSQL offers). A process that is killed loses what it had not committed.
"""

import asyncio
import contextlib
import functools
import sqlite3
from collections import deque, namedtuple
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

from sqlalchemy import MetaData, create_engine
from sqlalchemy.pool import StaticPool

from tests.sim.loop import PROCESS, Process, point
from tests.sim.quick import Quick


class Store:
    """An owner's data. Make one per owner and `reset` it between schedules: the statement cache stays warm."""

    def __init__(self, tables: MetaData) -> None:
        self.engine = create_engine("sqlite://", poolclass=StaticPool)
        self.slow = self.engine.connect()
        self.driver = cast(sqlite3.Connection, self.slow.connection.driver_connection)
        self.driver.isolation_level = None
        tables.create_all(self.slow)
        self.slow.commit()
        self.driver.execute("PRAGMA user_version=1")  # a database without a page cannot be copied
        self.driver.execute("PRAGMA foreign_keys=ON")
        self.quick = Quick(self.driver, self.slow.dialect)
        self._empty = self.driver.serialize()
        self.held_by: Process | None = None
        self._waiting: deque[tuple[Process, asyncio.Future[None]]] = deque()

    def keep(self) -> None:
        """What is stored now is what a `reset` goes back to."""
        self._empty = self.driver.serialize()

    def reset(self) -> None:
        self._let_go()
        self._waiting.clear()
        self.driver.deserialize(self._empty)
        self.driver.execute("PRAGMA foreign_keys=ON")

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

    @contextlib.asynccontextmanager
    async def begin(self) -> AsyncIterator["SimConnection"]:
        await self.store.acquire(self.process)
        try:
            await point("before_begin")
            self.store.begin()
            yield SimConnection(self.store)
            await point("before_commit")
            self.store.commit()
        finally:
            if not self.process.dead:
                self.store.release()
        await point("after_commit")

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator["SimConnection"]:
        await self.store.acquire(self.process)
        try:
            self.store.begin()
            yield SimConnection(self.store)
        finally:
            if not self.process.dead:
                self.store.release()

    async def dispose(self) -> None:
        pass


class SimConnection:
    """What the product takes for an AsyncConnection."""

    def __init__(self, store: Store) -> None:
        self._store, self._savepoints, self.dialect = store, 0, store.slow.dialect

    async def execute(self, statement: Any, parameters: Any = None) -> Any:
        await point("execute")
        if parameters is None and (result := self._store.quick.execute(statement)) is not None:
            return result
        return self._store.slow.execute(statement, parameters)

    async def get_raw_connection(self) -> Any:
        return self._store.slow.connection

    async def run_sync(self, work: Callable[..., Any], *args: Any) -> Any:
        return work(self._store.slow, *args)

    @contextlib.asynccontextmanager
    async def begin_nested(self) -> AsyncIterator[None]:
        self._savepoints += 1
        name = f"s{self._savepoints}"
        self._store.driver.execute(f"SAVEPOINT {name}")
        try:
            yield
        except BaseException:
            if not PROCESS.get().dead:
                self._store.driver.execute(f"ROLLBACK TO {name}")
            raise
        self._store.driver.execute(f"RELEASE {name}")


@functools.cache
def _shape_of(names: tuple[str, ...]) -> Any:
    return namedtuple("Row", names)  # the names come from the query
