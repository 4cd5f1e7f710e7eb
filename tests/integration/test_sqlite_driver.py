"""SQLite under the asynchronous engine: what waits, waits beside the loop, and in order."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import make_url

from shared.messaging.asyncio_engine import AsyncEngine
from shared.messaging.engine import make_engine
from shared.messaging.sqlite import off_the_loop


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(make_url(f"sqlite+aiosqlite:///{tmp_path}/t.db"), schema="t")
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE t (n INTEGER)"))
    yield engine
    await engine.dispose()


async def count(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int((await connection.execute(text("SELECT count(*) FROM t"))).scalar_one())


async def test_a_lock_that_somebody_else_holds_is_waited_for_beside_the_loop(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    other = sqlite3.connect(tmp_path / "t.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    async def write() -> None:
        async with engine.begin() as connection:
            await connection.execute(text("INSERT INTO t VALUES (1)"))

    writing = asyncio.create_task(write())
    turns = asyncio.Event()
    left = 20

    def turn() -> None:
        nonlocal left
        left -= 1
        turns.set() if left <= 0 else asyncio.get_running_loop().call_later(0.005, turn)

    turn()
    await asyncio.wait_for(turns.wait(), 30)
    assert not writing.done()
    other.execute("COMMIT")
    other.close()
    await asyncio.wait_for(writing, 30)
    assert await count(engine) == 1


async def test_a_cancelled_commit_ends_before_the_connection_is_used_again(engine: AsyncEngine) -> None:
    for n in range(20):

        async def write(n: int, committing: asyncio.Event) -> None:
            async with engine.begin() as connection:
                await connection.execute(text("INSERT INTO t VALUES (:n)"), {"n": n})
                committing.set()

        committing = asyncio.Event()
        task = asyncio.create_task(write(n, committing))
        await committing.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        before = await count(engine)
        assert await count(engine) == before


async def test_what_may_take_long_runs_beside_the_loop(engine: AsyncEngine) -> None:
    here: list[bool] = []

    @event.listens_for(engine.sync_engine, "connect")
    def _connect(connection: object, _: object) -> None:
        def note() -> int:
            try:
                here.append(asyncio.get_running_loop() is not None)
            except RuntimeError:
                here.append(False)
            return 1

        connection.create_function("note", 0, note)  # type: ignore[attr-defined]

    await engine.dispose()
    async with engine.begin() as connection:
        await connection.execute(text("SELECT note()"))
        async with off_the_loop(connection):
            await connection.execute(text("SELECT note()"))
        await connection.execute(text("INSERT INTO t VALUES (note() + :n)"), [{"n": 1}, {"n": 2}])
        await connection.execute(text("SELECT note()"))
    assert here == [True, False, False, False, True]
