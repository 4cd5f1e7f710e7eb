"""What keeps memory bounded: old chunks, results, texts nobody holds, message ids, index files of gone replicas."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from sqlalchemy.exc import DBAPIError

from services.memory.settings import Settings
from services.memory.store import LibraryStore
from services.memory.transfer_store import TransferStore
from shared.messaging.database import Database

log = structlog.get_logger()
STALE_INDEX = timedelta(days=7)
"""An index file that nobody wrote for so long belongs to a replica that is gone; if not, it is built anew."""


@dataclass(frozen=True)
class Upkeep:
    """May run on several replicas at once."""

    database: Database
    library: LibraryStore
    transfers: TransferStore
    index: Path
    settings: Settings
    clock: Callable[[], datetime]

    async def run(self) -> None:
        while True:
            try:
                await self.run_once()
            except (DBAPIError, OSError) as error:
                log.warning("upkeep_failed", reason=str(error))
            await asyncio.sleep(self.settings.upkeep_every.total_seconds())

    async def run_once(self) -> None:
        now = self.clock().timestamp()
        async with self.database.unit(long=True) as unit:
            await self.transfers.purge(
                unit.connection,
                before=now - self.settings.chunks_kept.total_seconds(),
                results_before=now - self.settings.results_kept.total_seconds(),
            )
        gone = 1
        while gone:  # in portions: a commit that drops ten thousand texts would hold up everybody else's
            async with self.database.unit(long=True) as unit:
                gone = await self.library.purge(
                    unit.connection, before=now - self.settings.unused_texts_kept.total_seconds()
                )
        await self.database.purge()
        await asyncio.to_thread(self._drop_stale_indexes, now)

    def _drop_stale_indexes(self, now: float) -> None:
        for file in self.index.parent.glob("memory-index-*.db"):
            parts = [part for suffix in ("", "-wal", "-shm") if (part := Path(f"{file}{suffix}")).exists()]
            newest = max((part.stat().st_mtime for part in parts), default=now)
            if file != self.index and newest < now - STALE_INDEX.total_seconds():
                for part in parts:
                    part.unlink(missing_ok=True)
