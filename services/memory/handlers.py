"""Message in, decide, save, answer. `Documents` and `Findings` run inside a transaction, `Queries` side by side."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from services.memory.finding_store import FindingStore
from services.memory.follow import Follower
from services.memory.hybrid import VectorSearch, hybrid
from services.memory.recall import same_text
from services.memory.store import LibraryStore
from services.memory.transfer import unread
from services.memory.transfer_store import Transfer, TransferStore
from shared.contracts import findings as f
from shared.contracts import library as lib
from shared.contracts.message import Done, Message, Refused
from shared.errors import Rejected
from shared.messaging.database import Database, Unit
from shared.messaging.envelope import Envelope

MAX_CHUNKS = 65_536
LARGE_TEXT = 2_000_000
"""Characters: a text up to this size is read whole to take several spans from it."""
MAX_READ = 250_000
"""Characters of all spans of one question, so that the answer fits into a message."""


@dataclass(frozen=True)
class Documents:
    """Transfers and corpora. `wake` tells the job that there is work, `changed` the index."""

    library: LibraryStore
    transfers: TransferStore
    clock: Callable[[], datetime]
    wake: Callable[[], None]
    changed: Callable[[], None]
    max_bytes: int

    async def on_offer(self, message: lib.OfferDocuments, unit: Unit) -> Message:
        if message.part > message.parts:
            raise Rejected(f"part {message.part} of {message.parts}", field="part")
        now = self._now()
        await self.transfers.offer(unit.connection, message, now=now)
        known = await self.library.known(unit.connection, {file.sha256 for file in message.files}, now=now)
        texts = {found.text_sha256 for found in known.values() if found.text_sha256 is not None}
        await self.library.touch(unit.connection, texts, now=now)  # kept until the transfer ends
        new = sorted({raw for raw, _ in unread(message.files, known, max_bytes=self.max_bytes)})
        arrived = await self.transfers.arrived(unit.connection, new)
        whole = {raw for raw, (numbers, count) in arrived.items() if len(numbers) == count}
        return lib.DocumentsWanted(
            transfer_id=message.transfer_id,
            wanted=tuple(raw for raw in new if raw not in whole),
            have={raw: numbers for raw, (numbers, _) in arrived.items() if raw not in whole},
        )

    async def on_chunk(self, message: lib.PutChunk, unit: Unit) -> Message:
        size = await self.transfers.size_of(unit.connection, message.transfer_id, message.sha256)
        if size is None:
            return Refused(error="not_offered", reason="this transfer knows no such file", hint="offer it first")
        if size > self.max_bytes or message.count > MAX_CHUNKS or message.index >= message.count:
            raise Rejected(f"chunk {message.index} of {message.count} of a file of {size:,} bytes", field="index")
        try:
            data = base64.b64decode(message.data, validate=True)
        except binascii.Error as error:
            raise Rejected(f"not base64: {error}", field="data") from None
        if len(data) > lib.CHUNK_BYTES:
            raise Rejected(f"{len(data):,} bytes, more than {lib.CHUNK_BYTES:,}", field="data")
        await self.transfers.put_chunk(
            unit.connection, message.sha256, number=message.index, count=message.count, data=data, now=self._now()
        )
        return Done(count=1)

    async def on_finish(self, message: lib.FinishTransfer, unit: Unit) -> Message | None:
        transfer = await self.transfers.load(unit.connection, message.transfer_id)
        if transfer is None:
            return Refused(error="no_such_transfer", reason="no such transfer (any more)", hint="offer the files again")
        if transfer.result is not None:
            contract = lib.TransferFinished if transfer.state == "done" else Refused
            return contract.model_validate_json(transfer.result)
        missing = None if transfer.state == "finishing" else await self._missing(transfer, unit)
        if missing is not None:
            return missing
        await self.transfers.finish(unit.connection, message.transfer_id, request=unit.envelope, now=self._now())
        unit.after_commit(self.wake)
        return None  # the job answers

    async def _missing(self, transfer: Transfer, unit: Unit) -> Refused | None:
        """What has to be sent before this transfer can end."""
        parts = await self.transfers.missing_parts(unit.connection, transfer)
        if parts:
            return Refused(error="chunks_missing", reason=f"{len(parts)} of {transfer.parts} parts of the offer")
        files = await self.transfers.files(unit.connection, transfer.transfer_id)
        known = await self.library.known(unit.connection, {file.sha256 for file in files}, now=self._now())
        todo = unread(files, known, max_bytes=self.max_bytes)
        complete = await self.transfers.complete(unit.connection, {raw for raw, _ in todo})
        lacking = [name for (raw, _), name in todo.items() if raw not in complete]
        if not lacking:
            return None
        return Refused(error="chunks_missing", reason=f"chunks of {len(lacking)} files, {lacking[0]} among them")

    async def on_remove(self, message: lib.RemoveCorpus, unit: Unit) -> Message:
        if message.corpus not in await self.library.existing(unit.connection, [message.corpus]):
            return Refused(error="no_such_corpus", reason=f"there is no corpus {message.corpus!r}")
        count = await self.library.remove_corpus(unit.connection, message.corpus, now=self._now())
        unit.after_commit(self.changed)
        return Done(count=count)

    async def on_open(self, message: lib.OpenCorpora, unit: Unit) -> Message:
        views = {view.name: view for view in await self.library.corpora(unit.connection)}
        watermark, _ = await self.library.watermark(unit.connection)
        return lib.CorporaOpened(
            goal_id=message.goal_id,
            missing=tuple(name for name in message.corpora if name not in views),
            known=tuple(views),
            documents=sum(views[name].documents for name in set(message.corpora) if name in views),
            watermark=watermark,
        )

    def _now(self) -> float:
        return self.clock().timestamp()


@dataclass(frozen=True)
class Findings:
    """What finished goals leave behind. `keep`: findings of one namespace."""

    findings: FindingStore
    library: LibraryStore
    clock: Callable[[], datetime]
    changed: Callable[[], None]
    keep: int

    async def on_remember(self, message: f.Remember, unit: Unit) -> Message:
        touched = await self.findings.remember(unit.connection, message, now=self.clock().timestamp(), keep=self.keep)
        await self._changed(unit, touched)
        return Done(count=len(message.findings))

    async def on_forget(self, message: f.Forget, unit: Unit) -> Message:
        if message.finding_id is None and message.goal_id is None and not message.everything:
            raise Rejected("name a finding, a goal, or everything", field="finding_id")
        count, touched = await self.findings.forget(unit.connection, message)
        await self._changed(unit, touched)
        return Done(count=count)

    async def _changed(self, unit: Unit, touched: set[tuple[str, str]]) -> None:
        if touched:
            await self.library.change(unit.connection, [("findings", "/".join(pair)) for pair in touched])
            unit.after_commit(self.changed)


@dataclass(frozen=True)
class Queries:
    """Questions: nothing is changed, and any replica answers. `vectors`: None searches by words alone."""

    database: Database
    library: LibraryStore
    findings: FindingStore
    follower: Follower
    vectors: VectorSearch | None = None

    async def on_list_corpora(self, message: lib.ListCorpora, envelope: Envelope) -> Message:
        async with self.database.read() as connection:
            return lib.CorporaListed(corpora=tuple(await self.library.corpora(connection)))

    async def on_search(self, message: lib.Search, envelope: Envelope) -> Message:
        near = None if self.vectors is None else await self.vectors.near(message)
        found, documents = await self.follower.ask(
            lambda index: (
                index.search(message.query, corpora=message.corpora, limit=message.limit)
                if near is None
                else hybrid(index, message, near),
                index.documents(message.corpora),
            ),
            watermark=message.watermark,
        )
        if near is None:
            return lib.PassagesFound(passages=tuple(found), documents=documents)
        return lib.PassagesFound(
            passages=tuple(found), documents=documents, found_by="words and vectors", embedder=near.engine
        )

    async def on_read_spans(self, message: lib.ReadSpans, envelope: Envelope) -> Message:
        if sum(max(0, span.end - span.start) for span in message.spans) > MAX_READ:
            return Refused(error="too_much", reason=f"more than {MAX_READ:,} characters", hint="use read_document")
        keys = sorted({span.sha256 for span in message.spans})
        async with self.database.read() as connection:
            sizes = await self.library.sizes(connection, keys)
            small = [key for key in keys if sizes.get(key, LARGE_TEXT) < LARGE_TEXT]
            texts = {stored.sha256: stored.text for stored in await self.library.stored(connection, small)}
            read: list[str | None] = []
            for span in message.spans:
                if span.end < span.start or span.end > sizes.get(span.sha256, -1):
                    read.append(None)
                elif span.sha256 in texts:
                    read.append(texts[span.sha256][span.start : span.end])
                else:
                    read.append(await self.library.read(connection, span.sha256, start=span.start, end=span.end))
        return lib.SpansRead(texts=tuple(read))

    async def on_read_document(self, message: lib.ReadDocument, envelope: Envelope) -> Message:
        async with self.database.read() as connection:
            total = (await self.library.sizes(connection, [message.sha256])).get(message.sha256)
            if total is None:
                return Refused(error="no_such_document", reason=f"no text {message.sha256[:12]} is stored")
            start, end = min(message.offset, total), min(message.offset + message.length, total)
            text = await self.library.read(connection, message.sha256, start=start, end=end)
        return lib.DocumentRead(sha256=message.sha256, total=total, text=text or "")

    async def on_recall(self, message: f.Recall, envelope: Envelope) -> Message:
        scores = dict(
            await self.follower.ask(
                lambda index: index.recall(
                    message.query,
                    namespace=message.namespace,
                    corpora=message.corpora,
                    except_goal=message.except_goal,
                )
            )
        )
        async with self.database.read() as connection:
            found = await self.findings.by_id(connection, scores)
        kept: dict[str, f.RememberedFinding] = {}  # many goals may have found the same sentence: the best one stands
        for finding_id, score in scores.items():
            one = found.get(finding_id)
            if one is None or len(kept) >= message.limit or same_text(one.text) in kept:
                continue
            if await self._still_held(one, message.corpora):
                kept[same_text(one.text)] = one.model_copy(update={"score": score})
        return f.FindingsListed(findings=tuple(kept.values()))

    async def _still_held(self, finding: f.RememberedFinding, corpora: tuple[str, ...]) -> bool:
        """Sources that have left the corpora, or changed there, are not brought back by a memory."""
        if not finding.evidence:
            return False
        keys = {piece.sha256 for piece in finding.evidence}
        return await self.follower.ask(lambda index: index.hold(corpora, keys), watermark=0)

    async def on_list_findings(self, message: f.ListFindings, envelope: Envelope) -> Message:
        async with self.database.read() as connection:
            found = await self.findings.newest(connection, message.namespace, limit=message.limit)
        return f.FindingsListed(findings=tuple(found))
