"""Sending documents: only what is wanted travels, four chunks at once at most, and a cut transfer goes on."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from services.cli.folder import FoundFile
from services.cli.outcome import CommandFailed
from services.cli.transfer import IN_FLIGHT, PART_FILES, Transfer, missing_chunks, offer_parts
from shared.contracts.library import (
    CHUNK_BYTES,
    DocumentsWanted,
    FinishTransfer,
    OfferDocuments,
    PutChunk,
    TransferFinished,
)
from shared.contracts.message import Done, Event
from shared.errors import RequestFailed


@dataclass
class FakeMemory:
    """A client whose memory keeps chunks by hash. `lost`: chunks that vanish the first time they arrive."""

    chunks: dict[tuple[str, int], bytes] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    offered: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    now: int = 0
    most: int = 0
    puts: int = 0

    async def ask(self, command: Any, reply: Any, **_: Any) -> Any:
        if isinstance(command, OfferDocuments):
            self.offered |= {file.sha256: file.size for file in command.files}
            wanted = [f.sha256 for f in command.files if f.sha256 not in self.known]
            have = {s: tuple(i for sha, i in self.chunks if sha == s) for s in wanted}
            return DocumentsWanted(transfer_id=command.transfer_id, wanted=tuple(wanted), have=have)
        if isinstance(command, PutChunk):
            return await self._put(command)
        assert isinstance(command, FinishTransfer)
        missing = [s for s in self.offered if s not in self.known and not self._whole(s)]
        if missing:
            raise RequestFailed("chunks are missing", kind="chunks_missing")
        return TransferFinished(corpus="c", documents=len(self.offered), added=len(self.offered))

    async def _put(self, command: PutChunk) -> Done:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        self.puts += 1
        self.counts[command.sha256] = command.count
        if self.lost:
            self.lost -= 1
            return Done()
        self.chunks[command.sha256, command.index] = base64.b64decode(command.data)
        return Done()

    def _whole(self, sha256: str) -> bool:
        return all((sha256, i) in self.chunks for i in range(self.counts.get(sha256, 1)))

    @asynccontextmanager
    async def watch(self, *_: Any) -> AsyncIterator[asyncio.Queue[Event]]:
        yield asyncio.Queue()


async def send(client: FakeMemory, folder: Path) -> Any:
    transfer = Transfer(client, "c", note=lambda _: None, max_bytes=10_000_000)  # type: ignore[arg-type]
    return await transfer.send([folder])


async def test_what_arrives_is_what_lies_in_the_folder(tmp_path: Path) -> None:
    data = b"0123456789" * (CHUNK_BYTES // 4)
    (tmp_path / "big.txt").write_bytes(data)
    (tmp_path / "empty.md").write_bytes(b"")
    client = FakeMemory()
    sent = await send(client, tmp_path)
    sha256 = hashlib.sha256(data).hexdigest()
    count = client.counts[sha256]
    assert count == 3
    assert b"".join(client.chunks[sha256, i] for i in range(count)) == data
    assert sent.result.documents == 2


async def test_what_memory_has_is_not_sent(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"a")
    (tmp_path / "b.md").write_bytes(b"b")
    client = FakeMemory(known={hashlib.sha256(b"a").hexdigest()})
    await send(client, tmp_path)
    assert client.puts == 1


async def test_the_same_content_is_sent_once(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.md").write_bytes(b"same")
    client = FakeMemory()
    await send(client, tmp_path)
    assert client.puts == 1


async def test_a_cut_transfer_goes_on_where_it_stopped(tmp_path: Path) -> None:
    data = bytes(CHUNK_BYTES * 3)
    (tmp_path / "big.txt").write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    client = FakeMemory(chunks={(sha256, 0): b"there", (sha256, 2): b"there"})
    await send(client, tmp_path)
    assert client.puts == 1


async def test_chunks_that_got_lost_are_sent_again(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"{number}.md").write_bytes(bytes([number]))
    client = FakeMemory(lost=2)
    assert (await send(client, tmp_path)).result.documents == 4
    assert client.puts == 6


async def test_a_transfer_that_never_completes_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"a")
    with pytest.raises(CommandFailed, match="kept changing"):
        await send(FakeMemory(lost=99), tmp_path)


async def test_at_most_four_chunks_are_in_flight(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number}.md").write_bytes(bytes([number]))
    client = FakeMemory()
    await send(client, tmp_path)
    assert client.puts == 40
    assert 1 < client.most <= IN_FLIGHT


async def test_an_empty_folder_is_one_empty_offer(tmp_path: Path) -> None:
    assert (await send(FakeMemory(), tmp_path)).result.documents == 0


def found(number: int, name: str = "") -> FoundFile:
    return FoundFile(name or f"{number}.md", Path("/none"), 1, f"{number:064x}")


def test_offers_fit_into_messages() -> None:
    many = [found(n, "ü" * 500 + f"{n}.md") for n in range(2000)]
    parts = list(offer_parts(many))
    assert sum(len(part) for part in parts) == 2000
    for part in parts:
        offer = OfferDocuments(corpus="c", transfer_id="t" * 32, files=part, part=1, parts=len(parts))
        assert len(offer.encode()) < 1024 * 1024
    assert all(len(part) <= PART_FILES for part in offer_parts([found(n) for n in range(9000)]))


def test_an_empty_file_is_one_empty_chunk() -> None:
    empty = FoundFile("a.md", Path("/none"), 0, "0" * 64)
    assert [(index, count) for _, index, count in missing_chunks([empty], {"0" * 64: ()})] == [(0, 1)]
