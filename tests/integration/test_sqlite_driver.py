"""SQLite under the asynchronous engine: what waits, waits beside the loop, and in order."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import make_url

from shared.messaging.asyncio_engine import AsyncEngine
from shared.messaging.engine import make_engine
from shared.messaging.sqlite import Connection, off_the_loop


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


async def test_a_slow_disk_holds_the_loop_up_for_a_moment_once(engine: AsyncEngine) -> None:
    """A commit that takes long is waited for beside the loop; the next ones are so at once."""
    driver = await Connection(":memory:").open()
    gate = threading.Event()
    ended = asyncio.Event()
    first = asyncio.create_task(driver.run(gate.wait, 30, long=True, soon=True))
    asyncio.get_running_loop().call_later(0.05, ended.set)
    await asyncio.wait_for(ended.wait(), 30)  # the loop goes on meanwhile
    assert not first.done()
    gate.set()
    assert await asyncio.wait_for(first, 30)
    here = threading.Event()
    second = asyncio.create_task(driver.run(here.wait, 30, long=True, soon=True))
    await asyncio.sleep(0)
    here.set()  # reached only if nobody waits on the loop
    assert await asyncio.wait_for(second, 30)
    assert await driver.run(int, "7", long=True, soon=True) == 7
    await driver.close()


async def test_what_fails_at_once_fails_as_it_would_later(engine: AsyncEngine) -> None:
    driver = await Connection(":memory:").open()
    with pytest.raises(ValueError, match="invalid literal"):
        await driver.run(int, "x", long=True, soon=True)
    assert await driver.run(int, "7", long=True, soon=True) == 7
    await driver.close()
