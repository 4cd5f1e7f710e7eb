"""The job behind the end of a transfer: parse what is new, batch by batch, and make the corpus what was offered.

Every batch is committed with its chunks dropped, so that a crash costs one batch; the job itself is a row with a lease,
so that any replica goes on with it. May parse a file twice; stores it once.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from sqlalchemy.exc import DBAPIError

from services.memory.parsers import Job, Parsed, Parsers, Unparsed
from services.memory.store import LibraryStore
from services.memory.transfer import Known, outcome, unread
from services.memory.transfer_store import Transfer, TransferStore
from shared.contracts.library import OfferedFile, TransferFinished, TransferProgress
from shared.contracts.message import Refused, Reply
from shared.crashpoints import reached
from shared.errors import WarrenError
from shared.messaging.database import Database, Unit

log = structlog.get_logger()
BATCH = 25
"""Files of one commit."""
LEASE_S = 15.0
BEAT_S = 1.5
"""A sign of life, and the lease renewed, this often."""
LOOK_S = 5.0
"""Jobs that another replica left behind are looked for this often."""
MAX_ATTEMPTS = 3
Key = tuple[str, str]
"""(sha256 of the raw bytes, kind)."""


class LeaseLost(Exception):
    """Another replica works on this transfer by now."""


@dataclass
class Count:
    parsed: int = 0
    total: int = 0


@dataclass
class Ingest:
    """`progress` publishes a sign of life; `changed` is called once a corpus is different. `worker`: this instance."""

    database: Database
    library: LibraryStore
    transfers: TransferStore
    parsers: Callable[[], Parsers]
    progress: Callable[[TransferProgress], Awaitable[None]]
    changed: Callable[[], None]
    clock: Callable[[], datetime]
    worker: str
    max_bytes: int
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """There is a job: look now."""
        self._woken.set()

    async def run(self) -> None:
        """Works for ever, on one transfer at a time."""
        while True:
            self._woken.clear()
            try:
                found = await self.run_once()
            except (DBAPIError, OSError) as error:
                log.warning("transfers_wait", reason=f"the database does not answer: {error}")
                found = False
            if not found:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await self._woken.wait()

    async def run_once(self) -> bool:
        """Finishes one transfer; False when there is none to be finished."""
        now = self._now()
        async with self.database.unit() as unit:
            job = await self.transfers.claim(unit.connection, self.worker, now=now, until=now + LEASE_S)
        if job is None:
            return False
        try:
            await self._finish(job)
        except* LeaseLost:
            log.info("transfer_taken_over", transfer_id=job.transfer_id)
        except* Exception as group:
            await self._failed(job, _first(group))
        return True

    async def _finish(self, job: Transfer) -> None:
        async with self.database.read() as connection:
            files = await self.transfers.files(connection, job.transfer_id)
            known = await self.library.known(connection, {file.sha256 for file in files}, now=self._now())
        todo = unread(files, known, max_bytes=self.max_bytes)
        count = Count(total=len(todo))
        lost: dict[Key, Known] = {}
        if todo:
            async with asyncio.TaskGroup() as group:
                beating = group.create_task(self._beat(job, count))
                lost = await self._parse_all(todo, count)
                beating.cancel()
        await self._conclude(job, files, lost)

    async def _beat(self, job: Transfer, count: Count) -> None:
        while True:
            with contextlib.suppress(WarrenError, TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    message = TransferProgress(transfer_id=job.transfer_id, parsed=count.parsed, total=count.total)
                    await self.progress(message)
            async with self.database.unit() as unit:
                await self._renew(unit, job)
            await asyncio.sleep(BEAT_S)

    async def _parse_all(self, todo: dict[Key, str], count: Count) -> dict[Key, Known]:
        """Parses and stores; returns the fate of files whose bytes are not here or arrived damaged (not stored)."""
        lost: dict[Key, Known] = {}
        keys = list(todo)
        async with self.parsers() as parsers:
            room = asyncio.Semaphore(parsers.children + 1)  # files in memory at once
            for at in range(0, len(keys), BATCH):
                batch = keys[at : at + BATCH]
                async with asyncio.TaskGroup() as group:
                    work = {
                        key: group.create_task(self._parse(parsers, key, name=todo[key], room=room, count=count))
                        for key in batch
                    }
                results = {key: task.result() for key, task in work.items()}
                gone = {
                    key: Known(None, found.reason)
                    for key, found in results.items()
                    if isinstance(found, Unparsed) and found.damaged
                }
                await self._save({key: found for key, found in results.items() if key not in gone}, batch)
                lost |= gone
        return lost

    async def _parse(
        self, parsers: Parsers, key: Key, *, name: str, room: asyncio.Semaphore, count: Count
    ) -> Parsed | Unparsed:
        raw, kind = key
        async with room:
            async with self.database.read() as connection:
                data = await self.transfers.bytes_of(connection, raw)
            if data:
                found = await parsers.parse(Job(name=name, kind=kind, sha256=raw, data=data))
            else:
                found = Unparsed("its bytes did not arrive: add it again", damaged=True)
        count.parsed += 1
        if isinstance(found, Unparsed):
            log.info("document_skipped", document=name, reason=found.reason)
        return found

    async def _save(self, results: dict[Key, Parsed | Unparsed], batch: list[Key]) -> None:
        reached("documents_parsed")
        rows = [(raw, kind, found) for (raw, kind), found in results.items()]
        async with self.database.unit() as unit:
            await self.transfers.drop_chunks(unit.connection, {raw for raw, _ in batch})
            await self.library.save(unit.connection, rows, now=self._now())
            unit.after_commit(self.changed)

    async def _conclude(self, job: Transfer, files: list[OfferedFile], lost: dict[Key, Known]) -> None:
        """The corpus, the result and the answers, in one transaction."""
        reached("documents_saved")
        now = self._now()
        async with self.database.unit() as unit:
            await self._renew(unit, job)
            known = await self.library.known(unit.connection, {file.sha256 for file in files}, now=0.0)
            held = await self.library.members(unit.connection, job.corpus)
            end = outcome(files, lost | known, held, max_bytes=self.max_bytes, replace=job.replace)
            result = TransferFinished(
                corpus=job.corpus,
                documents=end.documents,
                added=end.added,
                changed=end.changed,
                unchanged=end.unchanged,
                removed=end.removed,
                skipped=end.skipped,
                watermark=await self.library.set_members(
                    unit.connection, job.corpus, put_in=end.put_in, take_out=end.take_out, now=now
                ),
            )
            await self._end(unit, job, result, state="done")
            unit.after_commit(self.changed)
        reached("corpus_changed")
        log.info("transfer_finished", corpus=job.corpus, documents=end.documents, skipped=len(end.skipped))

    async def _failed(self, job: Transfer, error: BaseException) -> None:
        """Another try later; after the last, whoever waits is told."""
        log.error("transfer_failed", transfer_id=job.transfer_id, reason=str(error), exc_info=error)
        async with self.database.unit() as unit:
            attempts = await self.transfers.failed_once(
                unit.connection, job.transfer_id, until=self._now() + LOOK_S * (job.attempts + 1)
            )
            if attempts >= MAX_ATTEMPTS:
                refusal = Refused(error="transfer_failed", reason=f"{type(error).__name__}: {error}"[:1000])
                await self._end(unit, job, refusal, state="failed")

    async def _end(self, unit: Unit, job: Transfer, result: Reply, *, state: str) -> None:
        """Keeps the result and answers everybody who waits for it."""
        text = result.model_dump_json()
        waiting = await self.transfers.end(unit.connection, job.transfer_id, state=state, result=text, now=self._now())
        for request in waiting:
            unit.publish(result, to=request)

    async def _renew(self, unit: Unit, job: Transfer) -> None:
        now = self._now()
        until = now + LEASE_S
        if not await self.transfers.renew(unit.connection, job.transfer_id, self.worker, now=now, until=until):
            raise LeaseLost

    def _now(self) -> float:
        return self.clock().timestamp()


def _first(error: BaseException) -> BaseException:
    """What went wrong first, out of the groups around it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
