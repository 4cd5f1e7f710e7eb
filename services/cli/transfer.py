"""Sending documents into the mesh: offer hashes, send only the chunks that are wanted, finish. Resumable."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from services.cli.connection import MeshClient
from services.cli.folder import FoundFile, chunk, hashed, walk
from services.cli.outcome import CommandFailed
from shared.contracts.library import (
    CHUNK_BYTES,
    DocumentsWanted,
    FinishTransfer,
    OfferDocuments,
    OfferedFile,
    PutChunk,
    SkippedFile,
    TransferFinished,
    TransferProgress,
)
from shared.contracts.message import Done
from shared.errors import NoReply, RequestFailed

IN_FLIGHT = 4
"""Chunks on the wire at once: two megabytes, whatever the number of files."""
PART_FILES, PART_BYTES = 4000, 600_000
"""Of one offer: files at most (the contract's limit), and about how much JSON (a message holds 1 MiB)."""
ANSWER_S, FINISH_S = 30.0, 60.0
"""Seconds to wait for an answer; for `finish`, seconds without any sign of life."""
Note = Callable[[str], None]


@dataclass(frozen=True)
class Sent:
    """What a transfer did. `skipped`: here and there, in that order."""

    result: TransferFinished
    skipped: tuple[SkippedFile, ...]


@dataclass(frozen=True)
class Transfer:
    """One corpus on its way into the mesh. Running it again continues: memory knows the chunks that it has."""

    client: MeshClient
    corpus: str
    note: Note
    max_bytes: int
    transfer_id: str = ""

    async def send(self, paths: Sequence[Path]) -> Sent:
        """Walks, offers, sends and waits until the corpus is what these paths hold. Raises CommandFailed."""
        found = walk(paths, max_bytes=self.max_bytes)
        files = await asyncio.to_thread(lambda: list(hashed(found)))
        self.note(f"{self.corpus}: {len(files)} documents found, {len(found.skipped)} files skipped")
        transfer_id = self.transfer_id or uuid4().hex
        for _ in range(3):
            wanted = await self._offer(transfer_id, files)
            await self._send_wanted(transfer_id, files, wanted)
            try:
                result = await self._finish(transfer_id)
            except RequestFailed as error:
                if error.kind != "chunks_missing":
                    raise
                continue  # memory was restarted in between, or a file was cut: offer again, send what is missing
            return Sent(result, (*found.skipped, *result.skipped))
        raise CommandFailed("the files kept changing while they were sent", hint="run the same command again")

    async def _offer(self, transfer_id: str, files: Sequence[FoundFile]) -> dict[str, tuple[int, ...]]:
        """Which hashes memory wants, with the chunks of them that it has."""
        wanted: dict[str, tuple[int, ...]] = {}
        parts = list(offer_parts(files))
        for number, part in enumerate(parts, start=1):
            offer = OfferDocuments(
                corpus=self.corpus, transfer_id=transfer_id, files=part, part=number, parts=len(parts)
            )
            answer = await self.client.ask(offer, DocumentsWanted, deadline_s=ANSWER_S)
            wanted |= {sha256: answer.have.get(sha256, ()) for sha256 in answer.wanted}
        return wanted

    async def _send_wanted(
        self, transfer_id: str, files: Sequence[FoundFile], wanted: Mapping[str, Sequence[int]]
    ) -> None:
        chunks = list(missing_chunks(files, wanted))
        if not chunks:
            return
        self.note(f"{self.corpus}: sending {len(wanted)} files, {megabytes(files, wanted)}")
        free = asyncio.Semaphore(IN_FLIGHT)
        sent = 0

        async def put(file: FoundFile, index: int, count: int) -> None:
            nonlocal sent
            try:
                data = await asyncio.to_thread(chunk, file.path, index, size=CHUNK_BYTES)
                await self.client.ask(
                    PutChunk(
                        transfer_id=transfer_id,
                        sha256=file.sha256,
                        index=index,
                        count=count,
                        data=base64.b64encode(data).decode(),
                    ),
                    Done,
                    deadline_s=ANSWER_S,
                )
            finally:
                free.release()
            sent += 1
            if sent % 50 == 0:
                self.note(f"{self.corpus}: {sent} of {len(chunks)} chunks sent")

        async with asyncio.TaskGroup() as tasks:
            for file, index, count in chunks:
                await free.acquire()
                tasks.create_task(put(file, index, count))

    async def _finish(self, transfer_id: str) -> TransferFinished:
        """Waits as long as memory shows signs of life."""
        async with self.client.watch(transfer_id, TransferProgress) as news:
            finish = FinishTransfer(transfer_id=transfer_id)
            asking = asyncio.ensure_future(self.client.ask(finish, TransferFinished, deadline_s=6 * 3600))
            try:
                while not asking.done():
                    heard = asyncio.ensure_future(news.get())
                    await asyncio.wait({asking, heard}, timeout=FINISH_S, return_when=asyncio.FIRST_COMPLETED)
                    if heard.done():
                        progress = heard.result()
                        if isinstance(progress, TransferProgress):
                            self.note(f"{self.corpus}: {progress.parsed} of {progress.total} documents read")
                        continue
                    heard.cancel()
                    if not asking.done():
                        raise NoReply(f"memory has not been heard of for {FINISH_S:.0f} s while it read {self.corpus}")
                return await asking
            finally:
                asking.cancel()


def offer_parts(files: Iterable[FoundFile]) -> Iterator[tuple[OfferedFile, ...]]:
    """The offer in messages that fit. An empty folder is one empty part: the corpus becomes empty."""
    part: list[OfferedFile] = []
    weight = 0
    some = False
    for file in files:
        cost = len(file.name.encode()) * 2 + 120
        if part and (len(part) >= PART_FILES or weight + cost > PART_BYTES):
            yield tuple(part)
            part, weight, some = [], 0, True
        part.append(OfferedFile(name=file.name, sha256=file.sha256, size=file.size))
        weight += cost
    if part or not some:
        yield tuple(part)


def missing_chunks(
    files: Iterable[FoundFile], wanted: Mapping[str, Sequence[int]]
) -> Iterator[tuple[FoundFile, int, int]]:
    """(file, index, count of its chunks) of everything that is wanted and not there; each content once."""
    seen: set[str] = set()
    for file in files:
        if file.sha256 not in wanted or file.sha256 in seen:
            continue
        seen.add(file.sha256)
        count = max(1, -(-file.size // CHUNK_BYTES))
        there = set(wanted[file.sha256])
        yield from ((file, index, count) for index in range(count) if index not in there)


def megabytes(files: Iterable[FoundFile], wanted: Mapping[str, Sequence[int]]) -> str:
    sizes = {file.sha256: file.size for file in files if file.sha256 in wanted}
    return f"{sum(sizes.values()) / 1_000_000:.1f} MB"
