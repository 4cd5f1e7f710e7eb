"""A library and its index on SQLite and on PostgreSQL."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from services.memory.blocks import Block, assemble
from services.memory.finding_store import FindingStore
from services.memory.follow import Follower
from services.memory.index import SearchIndex
from services.memory.parsers import Parsed
from services.memory.passages import cut
from services.memory.store import LibraryStore
from services.memory.tables import schema
from services.memory.transfer import Member
from services.memory.transfer_store import TransferStore
from shared.contracts.library import OfferDocuments, OfferedFile
from shared.messaging.database import Database
from shared.messaging.envelope import Outgoing
from shared.messaging.publish import Stamp
from tests.integration import engines

NOW = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


@dataclass
class Memory:
    database: Database
    index: SearchIndex
    library: LibraryStore = field(default_factory=LibraryStore)
    transfers: TransferStore = field(default_factory=TransferStore)
    findings: FindingStore = field(default_factory=FindingStore)

    @property
    def follower(self) -> Follower:
        return Follower(self.database, self.library, self.findings, self.index, wait_s=10)

    async def put(self, corpus: str, **files: str) -> int:
        """A corpus of these files beside what it has: name -> text. Returns the watermark."""
        async with self.database.unit() as unit:
            rows, members = [], []
            for name, text in files.items():
                row, member = document(name, text)
                rows.append(row)
                members.append(member)
            await self.library.save(unit.connection, rows, now=NOW)
            return await self.library.set_members(unit.connection, corpus, put_in=members, take_out=(), now=NOW)

    async def search(self, query: str, *corpora: str, watermark: int | None = None) -> list[str]:
        found = await self.follower.ask(
            lambda index: index.search(query, corpora=corpora, limit=10), watermark=watermark
        )
        return [passage.source for passage in found]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    engines.need_docker()
    from testcontainers.community.postgres import PostgresContainer

    with PostgresContainer("pgvector/pgvector:pg17", driver="asyncpg") as container:
        yield container.get_connection_url(host="127.0.0.1")


@pytest.fixture(params=["sqlite", "postgresql"])
async def memory(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Memory]:
    if request.param == "sqlite":
        url, owner = f"sqlite+aiosqlite:///{tmp_path}/memory.db", "memory"
    else:
        url, owner = request.getfixturevalue("postgres"), f"m{sha256(str(tmp_path).encode()).hexdigest()[:10]}"
    database = Database(url, schema(), stamp=Stamp(owner, "memory-1"))
    await database.open(_nowhere)
    index = SearchIndex(tmp_path / "index.db")
    yield Memory(database, index)
    index.close()
    await database.close()


async def _nowhere(out: Outgoing) -> None:
    raise AssertionError(f"nothing is published here: {out.type}")


def document(name: str, text: str) -> tuple[tuple[str, str, Parsed], Member]:
    """A file as the store takes it: its row, and what a corpus knows of it."""
    parsed = assemble(name.capitalize(), [Block(text)])
    return (_hash(text), "txt", Parsed(parsed, cut(parsed))), Member(name, _hash(text), parsed.sha256)


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _offer(*names: str, part: int = 1, parts: int = 1, transfer: str = "transfer-1") -> OfferDocuments:
    files = tuple(OfferedFile(name=name, sha256=_hash(name), size=6) for name in names)
    return OfferDocuments(corpus="papers", transfer_id=transfer, files=files, part=part, parts=parts)
