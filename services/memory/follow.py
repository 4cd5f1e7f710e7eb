"""Keeps the search index up with the store, and searches it no earlier than asked for."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import structlog
from sqlalchemy.exc import DBAPIError

from services.memory.finding_store import FindingStore
from services.memory.index import SearchIndex
from services.memory.store import Change, LibraryStore
from shared.errors import Retryable
from shared.messaging.asyncio_engine import AsyncConnection
from shared.messaging.database import Database

log = structlog.get_logger()
T = TypeVar("T")
LOOK_S = 5.0
LOT = 4_000_000
"""Characters of texts that are held in memory at once."""


@dataclass
class Follower:
    """One per replica. `wait_s`: seconds that a search waits for the index before it is tried again later."""

    database: Database
    library: LibraryStore
    findings: FindingStore
    index: SearchIndex
    wait_s: float = 20.0
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _seen: int = -1

    async def run(self) -> None:
        """Follows for ever: at once after a change made here, within seconds after one made by another replica."""
        while True:
            try:
                await self.catch_up()
            except (sqlite3.Error, OSError, DBAPIError) as error:
                log.warning("index_behind", reason=str(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._changed.wait()
            self._changed.clear()

    def changed(self) -> None:
        """Something was committed: look now."""
        self._changed.set()

    async def ask(self, question: Callable[[SearchIndex], T], *, watermark: int | None = None) -> T:
        """Asks the index once it has seen change `watermark` (None: all there are now). Raises Retryable when it does
        not get there in time. An index that turns out to be damaged is built anew first."""
        for last in (False, True):
            try:
                await self._reach(watermark)
                return await asyncio.to_thread(question, self.index)
            except sqlite3.DatabaseError as error:
                if last:
                    raise
                await self._rebuild(error)
        raise AssertionError("unreachable")

    async def catch_up(self) -> int:
        """Applies all changes there are; returns the watermark reached."""
        async with self._lock:
            for last in (False, True):
                try:
                    return await self._follow()
                except sqlite3.DatabaseError as error:
                    if last:
                        raise
                    self._reset(error)
        raise AssertionError("unreachable")

    async def _reach(self, watermark: int | None) -> None:
        if watermark is not None and 0 <= watermark <= self._seen:
            return
        try:
            async with asyncio.timeout(self.wait_s):  # the work itself goes on: the next search finds it further
                reached = await asyncio.shield(asyncio.ensure_future(self.catch_up()))
        except TimeoutError:
            raise Retryable("the search index is still being built") from None
        if watermark is not None and reached < watermark:
            raise Retryable(f"the library is at change {reached}, not yet at {watermark}")

    async def _rebuild(self, error: Exception) -> None:
        async with self._lock:
            self._reset(error)

    def _reset(self, error: Exception) -> None:
        log.warning("index_rebuilt", reason=f"the search index was damaged: {error}")
        self._seen = -1
        self.index.reset()

    async def _follow(self) -> int:
        async with self.database.read() as connection:
            target, library = await self.library.watermark(connection)
            seen = await asyncio.to_thread(self.index.watermark, library)
            while found := await self.library.changes_after(connection, seen):
                await self._apply(connection, found)
                seen = found[-1].seq
                await asyncio.to_thread(self.index.set_watermark, seen)
        self._seen = max(seen, target)
        return self._seen

    async def _apply(self, connection: AsyncConnection, found: Sequence[Change]) -> None:
        texts = [change.key for change in found if change.kind == "text"]
        sizes = await self.library.sizes(connection, texts)
        for keys in _lots(texts, sizes):
            stored = await self.library.stored(connection, keys)
            await asyncio.to_thread(self.index.put_texts, keys, stored)
        for change in found:
            if change.kind == "corpus":
                held = await self.library.members(connection, change.key)
                rows = [(member.text_sha256, member.name) for member in held.values()]
                await asyncio.to_thread(self.index.put_members, change.key, rows)
        goals = {change.key.partition("/")[2] for change in found if change.kind == "findings"}
        if goals:
            remembered = await self.findings.of_goals(connection, goals)
            await asyncio.to_thread(self.index.put_findings, goals, remembered)


def _lots(keys: Sequence[str], sizes: dict[str, int]) -> list[list[str]]:
    """Keys in portions whose texts fit in memory together."""
    lots: list[list[str]] = [[]]
    held = 0
    for key in keys:
        size = sizes.get(key, 0)
        if lots[-1] and (held + size > LOT or len(lots[-1]) >= 100):
            lots.append([])
            held = 0
        lots[-1].append(key)
        held += size
    return [lot for lot in lots if lot]
