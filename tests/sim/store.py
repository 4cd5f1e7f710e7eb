"""A transactional store in memory that outlives the process that uses it: the real SQL, run by a synchronous SQLite.

One transaction at a time: whoever comes while another is open waits for its end (serializable, the strictest that
PostgreSQL offers). A process that is killed loses what it had not committed.
"""

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from sqlalchemy import MetaData, create_engine, event, text
from sqlalchemy.pool import StaticPool

from tests.sim.loop import PROCESS, Process, point


class Store:
    """An owner's data. Make one per owner and `reset` it between schedules: the statement cache stays warm."""

    def __init__(self, tables: MetaData) -> None:
        self.engine = create_engine("sqlite://", poolclass=StaticPool)

        @event.listens_for(self.engine, "connect")
        def _prepare(connection: Any, _: Any) -> None:
            connection.isolation_level = None
            connection.execute("PRAGMA foreign_keys=ON")

        @event.listens_for(self.engine, "begin")
        def _begin(connection: Any) -> None:
            connection.exec_driver_sql("BEGIN")

        tables.create_all(self.engine)
        self._empty = self._driver().serialize()
        self.held_by: Process | None = None
        self._open: Any = None
        self._waiting: deque[tuple[Process, asyncio.Future[None]]] = deque()

    def _driver(self) -> sqlite3.Connection:
        raw = self.engine.raw_connection()
        try:
            return raw.driver_connection
        finally:
            raw.close()

    def reset(self) -> None:
        self._let_go()
        self._waiting.clear()
        self._driver().deserialize(self._empty)
        self._driver().execute("PRAGMA foreign_keys=ON")

    def rows(self, query: Any) -> list[Any]:
        """What is committed, for the invariants. Only while no transaction is open."""
        with self.engine.begin() as connection:
            return list(connection.execute(text(query) if isinstance(query, str) else query))

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

    def begin(self) -> Any:
        self._open = self.engine.connect()
        self._open.begin()
        return self._open

    def commit(self) -> None:
        self._open.commit()

    def release(self) -> None:
        self._let_go()
        self._next()

    def killed(self, process: Process) -> None:
        self._waiting = deque((p, f) for p, f in self._waiting if p is not process)
        if self.held_by is process:
            self.release()

    def _let_go(self) -> None:
        if self._open is not None:
            self._open.rollback()
            self._open.close()
        self._open, self.held_by = None, None

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
            yield SimConnection(self.store.begin())
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
            yield SimConnection(self.store.begin())
        finally:
            if not self.process.dead:
                self.store.release()

    async def dispose(self) -> None:
        pass


class SimConnection:
    """What the product takes for an AsyncConnection."""

    def __init__(self, connection: Any) -> None:
        self._connection, self.dialect = connection, connection.dialect

    async def execute(self, statement: Any, parameters: Any = None) -> Any:
        await point("execute")
        return self._connection.execute(statement, parameters)

    async def get_raw_connection(self) -> Any:
        return self._connection.connection

    async def run_sync(self, work: Callable[..., Any], *args: Any) -> Any:
        return work(self._connection, *args)

    @contextlib.asynccontextmanager
    async def begin_nested(self) -> AsyncIterator[Any]:
        with self._connection.begin_nested() as nested:
            yield nested
