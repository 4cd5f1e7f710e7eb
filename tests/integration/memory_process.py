"""Memory's handlers over a library in a folder, killed and started as the test says. No broker."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import pytest

from services.memory.finding_store import FindingStore
from services.memory.follow import Follower
from services.memory.handlers import Documents, Findings, Queries
from services.memory.index import SearchIndex
from services.memory.ingest import Ingest
from services.memory.parsers import Job, Limits, Parsed, Parsers, Unparsed
from services.memory.settings import Settings
from services.memory.store import LibraryStore
from services.memory.tables import schema
from services.memory.transfer_store import TransferStore
from services.memory.upkeep import Upkeep
from shared.contracts import library as lib
from shared.contracts.message import Done, Message
from shared.messaging.database import Database
from shared.messaging.envelope import Envelope, Outgoing
from shared.messaging.publish import Stamp

R = TypeVar("R", bound=Message)
DEADLINE_S = 60.0
TEXT = "The lease of a worker ends after {} seconds unless the worker renews it in time."


class Killed(BaseException):
    """What a SIGKILL is to the code: it does not go on."""


@dataclass
class CountingParsers(Parsers):
    """Real children; counts what they parse, and can end the process before a file."""

    parsed: list[str] = field(default_factory=list)
    kill_at: int | None = None

    async def parse(self, job: Job) -> Parsed | Unparsed:
        if self.kill_at is not None and len(self.parsed) >= self.kill_at:
            raise Killed
        self.parsed.append(job.name)
        return await super().parse(job)


@dataclass
class Memory:
    """One process of memory: `say` is a message that arrives, `said` all that was published."""

    home: Path
    database: Database
    clock: list[datetime]
    progress: list[lib.TransferProgress] = field(default_factory=list)
    parsed: list[str] = field(default_factory=list)
    said: list[Outgoing] = field(default_factory=list)
    kill_at: int | None = None
    counter: int = 0
    broken: bool = False

    def __post_init__(self) -> None:
        library, transfers, findings = LibraryStore(), TransferStore(), FindingStore()
        now = self._now
        self.index = SearchIndex(self.home / "memory-index-1.db")
        follower = Follower(self.database, library, findings, self.index)

        async def told(message: lib.TransferProgress) -> None:
            self.progress.append(message)

        self.ingest = Ingest(
            database=self.database, library=library, transfers=transfers, progress=told, changed=follower.changed,
            clock=now, parsers=self._parsers, worker="memory-1", max_bytes=1024 * 1024,
        )  # fmt: skip
        self.documents = Documents(library, transfers, now, self.ingest.wake, follower.changed, 1024 * 1024)
        self.findings = Findings(findings, library, now, follower.changed, 1000)
        self.queries = Queries(self.database, library, findings, follower)
        settings = Settings(home=self.home)
        self.upkeep = Upkeep(self.database, library, transfers, self.index.path, settings, clock=now)

    def _parsers(self) -> CountingParsers:
        if self.broken:
            raise OSError("no process can be started")
        return CountingParsers(2, Limits(30, 512), self.parsed, self.kill_at)

    def _now(self) -> datetime:
        return self.clock[0]

    async def say(self, message: Message, handler: Callable[..., Any], kind: type[R], *, once: bool = True) -> R:
        """The answer to a transactional message."""
        request = self._envelope(message)
        await self.database.apply(lambda unit: handler(message, unit), request, once=once)
        return await self.answer(request, kind)

    async def answer(self, request: Envelope, kind: type[R]) -> R:
        async with asyncio.timeout(DEADLINE_S):
            await self.database.relay.drain(DEADLINE_S)
        found = [out for out in self.said if out.headers.get("causation_id") == request.message_id]
        assert [out.type for out in found] == [kind.type_name()]
        assert found[0].routing_key == "client.me"
        return kind.model_validate_json(found[0].body)

    def _envelope(self, message: Message) -> Envelope:
        self.counter += 1
        return Envelope(message_id=f"m{id(self)}-{self.counter}", type=message.type_name(), reply_to="client.me")

    async def offer(self, corpus: str, files: dict[str, bytes], *, transfer: str, **more: Any) -> lib.DocumentsWanted:
        offered = tuple(lib.OfferedFile(name=n, sha256=_hash(d), size=len(d)) for n, d in files.items())
        message = lib.OfferDocuments(corpus=corpus, transfer_id=transfer, files=offered, **more)
        return await self.say(message, self.documents.on_offer, lib.DocumentsWanted)

    async def chunk(self, transfer: str, data: bytes, *, index: int = 0, count: int = 1) -> Message:
        size = -(-len(data) // count)
        part = base64.b64encode(data[index * size : (index + 1) * size]).decode()
        message = lib.PutChunk(transfer_id=transfer, sha256=_hash(data), index=index, count=count, data=part)
        return await self.say(message, self.documents.on_chunk, Done, once=False)

    async def finish(self, transfer: str) -> Envelope:
        message = lib.FinishTransfer(transfer_id=transfer)
        request = self._envelope(message)
        await self.database.apply(lambda unit: self.documents.on_finish(message, unit), request, once=False)
        return request

    async def add(self, corpus: str, files: dict[str, bytes], *, transfer: str, **more: Any) -> lib.TransferFinished:
        wanted = await self.offer(corpus, files, transfer=transfer, **more)
        by_hash = {_hash(data): data for data in files.values()}
        for raw in wanted.wanted:
            await self.chunk(transfer, by_hash[raw])
        request = await self.finish(transfer)
        await self.ingest.run_once()
        return await self.answer(request, lib.TransferFinished)

    async def search(self, query: str, *corpora: str, watermark: int = 0) -> tuple[lib.Passage, ...]:
        message = lib.Search(corpora=corpora, query=query, watermark=watermark)
        found = await self.queries.on_search(message, self._envelope(message))
        assert isinstance(found, lib.PassagesFound)
        return found.passages


@contextlib.asynccontextmanager
async def _process(home: Path, clock: list[datetime], **more: Any) -> AsyncIterator[Memory]:
    """From start to death; what it has not published stays in its outbox."""
    database = Database(f"sqlite+aiosqlite:///{home}/memory.db", schema(), stamp=Stamp("memory", "memory-1"))
    memory = Memory(home, database, clock, **more)

    async def publish(out: Outgoing) -> None:
        memory.said.append(out)

    await database.open(publish)
    running = [asyncio.create_task(database.run()), asyncio.create_task(database.relay.run())]
    try:
        yield memory
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        memory.index.close()
        await database.close()


@pytest.fixture
def clock() -> list[datetime]:
    return [datetime(2026, 1, 1, tzinfo=UTC)]


@pytest.fixture
async def memory(tmp_path: Path, clock: list[datetime]) -> AsyncIterator[Memory]:
    async with _process(tmp_path, clock) as process:
        yield process


def _hash(data: bytes) -> str:
    return sha256(data).hexdigest()


def _files(count: int, *, seed: int = 0) -> dict[str, bytes]:
    return {f"d{n}.txt": TEXT.format(f"{seed}{n}").encode() for n in range(count)}
