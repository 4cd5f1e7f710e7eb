"""Documents' whole way into the library, and findings' way back: handlers and job on a real database with real parsers.
No broker: the relay is caught."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
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
from shared.contracts.evidence import Evidence, Finding
from shared.contracts.findings import Forget, ListFindings, Recall, Remember
from shared.contracts.message import Done, Message, Refused
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


async def test_a_folder_becomes_a_corpus_that_is_found_and_read(memory: Memory) -> None:
    files = {"a/lease.md": b"# Leases\n\n" + TEXT.format(30).encode(), "b.txt": b"A queue holds messages."}
    end = await memory.add("papers", files, transfer="transfer-1")
    assert (end.added, end.documents, end.skipped) == (2, 2, ())
    (passage,) = await memory.search("how long is a lease?", "papers", watermark=end.watermark)
    assert (passage.source, passage.title, passage.heading) == ("a/lease.md", "Leases", "Leases")
    assert passage.text == TEXT.format(30)
    spans = lib.ReadSpans(spans=(
        lib.Span(sha256=passage.sha256, start=passage.start, end=passage.end),
        lib.Span(sha256=passage.sha256, start=0, end=9999), lib.Span(sha256="0" * 64, start=0, end=1),
    ))  # fmt: skip
    assert await memory.queries.on_read_spans(spans, Envelope()) == lib.SpansRead(texts=(passage.text, None, None))
    document = await memory.queries.on_read_document(lib.ReadDocument(sha256=passage.sha256, offset=3), Envelope())
    assert isinstance(document, lib.DocumentRead)
    assert sha256(("Lea" + document.text).encode()).hexdigest() == passage.sha256
    assert isinstance(await memory.queries.on_read_document(lib.ReadDocument(sha256="0" * 64), Envelope()), Refused)


async def test_the_second_add_sends_and_parses_nothing(memory: Memory) -> None:
    files = _files(40) | {"scan.pdf": b"no pdf", "picture.jpg": b"x"}
    first = await memory.add("papers", files, transfer="transfer-1")
    assert (first.added, len(first.skipped), len(memory.parsed)) == (40, 2, 41)
    assert (await memory.offer("papers", files, transfer="transfer-2")).wanted == ()
    second = await memory.add("papers", files, transfer="transfer-2")
    assert (second.added, second.unchanged, second.removed, second.skipped) == (0, 40, 0, first.skipped)
    assert len(memory.parsed) == 41


async def test_what_changed_is_sent_and_what_is_gone_goes(memory: Memory) -> None:
    await memory.add("papers", _files(4), transfer="transfer-1")
    files = _files(3) | {"d0.txt": b"Nothing is as it was with this queue.", "new.txt": b"A new exchange."}
    end = await memory.add("papers", files, transfer="transfer-2")
    assert (end.added, end.changed, end.unchanged, end.removed, end.documents) == (1, 1, 2, 1, 4)
    found = {passage.source for passage in await memory.search("lease", "papers", watermark=end.watermark)}
    assert found == {"d1.txt", "d2.txt"}
    kept = await memory.add("papers", {"more.txt": b"More of it."}, transfer="transfer-3", replace=False)
    assert (kept.added, kept.removed, kept.documents) == (1, 0, 5)
    empty = await memory.add("papers", {}, transfer="transfer-4")
    assert (empty.removed, empty.documents) == (5, 0)


async def test_bad_files_are_listed_with_their_reasons_and_harm_nothing(memory: Memory) -> None:
    files = {"good.txt": b"Good text.", "binary.txt": b"\x00\x01\x02" * 99, "scan.pdf": b"%PDF-1.4 nothing",
             "huge.txt": b"x" * (1024 * 1024 + 1), "empty.md": b"", "word.docx": b"PK"}  # fmt: skip
    end = await memory.add("papers", files, transfer="transfer-1")
    reasons = {file.name: file.reason for file in end.skipped}
    assert end.documents == 1
    assert reasons["huge.txt"] == "1 MB, more than 1 MB"
    assert reasons["empty.md"] == "empty"
    assert "NUL bytes" in reasons["binary.txt"]
    assert ".docx files are not read" in reasons["word.docx"]
    assert "PDF" in reasons["scan.pdf"]


async def test_a_transfer_goes_on_where_it_was_cut(memory: Memory) -> None:
    data = TEXT.format(1).encode() * 20
    await memory.offer("papers", {"a.txt": data}, transfer="transfer-1")
    await memory.chunk("transfer-1", data, index=0, count=3)
    await memory.chunk("transfer-1", data, index=2, count=3)
    refused = await memory.answer(await memory.finish("transfer-1"), Refused)
    assert (refused.error, refused.reason) == ("chunks_missing", "chunks of 1 files, a.txt among them")
    again = await memory.offer("papers", {"a.txt": data}, transfer="transfer-2")
    assert (again.wanted, again.have) == ((_hash(data),), {_hash(data): (0, 2)})
    await memory.chunk("transfer-2", data, index=1, count=3)
    request = await memory.finish("transfer-2")
    assert await memory.ingest.run_once()
    assert (await memory.answer(request, lib.TransferFinished)).added == 1


async def test_everybody_who_asks_for_the_end_gets_the_same_answer(memory: Memory) -> None:
    await memory.offer("papers", _files(1), transfer="transfer-1")
    await memory.chunk("transfer-1", TEXT.format("00").encode())
    early = [await memory.finish("transfer-1") for _ in range(2)]
    await memory.ingest.run_once()
    answers = [await memory.answer(request, lib.TransferFinished) for request in early]
    late = await memory.answer(await memory.finish("transfer-1"), lib.TransferFinished)
    assert answers == [late, late]
    assert not await memory.ingest.run_once()
    assert (await memory.answer(await memory.finish("transfer-x"), Refused)).error == "no_such_transfer"


async def test_bytes_that_arrive_damaged_are_wanted_again(memory: Memory) -> None:
    good, bad = b"The right bytes.", b"The wrong bytes."
    await memory.offer("papers", {"a.txt": good}, transfer="transfer-1")
    message = lib.PutChunk(
        transfer_id="transfer-1", sha256=_hash(good), index=0, count=1, data=base64.b64encode(bad).decode()
    )
    await memory.say(message, memory.documents.on_chunk, Done, once=False)
    request = await memory.finish("transfer-1")
    await memory.ingest.run_once()
    end = await memory.answer(request, lib.TransferFinished)
    assert [file.reason for file in end.skipped] == ["arrived damaged: send it again"]
    assert (await memory.add("papers", {"a.txt": good}, transfer="transfer-2")).documents == 1


async def test_a_job_killed_in_the_middle_goes_on_with_what_is_left(tmp_path: Path, clock: list[datetime]) -> None:
    files = _files(60)
    parsed: list[str] = []
    async with _process(tmp_path, clock, parsed=parsed, kill_at=40) as first:
        with pytest.raises(BaseExceptionGroup, match="unhandled errors"):
            await first.add("papers", files, transfer="transfer-1")
    before = len(parsed)
    assert before == 40
    async with _process(tmp_path, clock, parsed=parsed) as second:
        assert await second.ingest.run_once()
        async with asyncio.timeout(DEADLINE_S):
            await second.database.relay.drain(DEADLINE_S)
        (answer,) = [out for out in second.said if out.type == lib.TransferFinished.type_name()]
        end = lib.TransferFinished.model_validate_json(answer.body)
        assert (end.added, end.documents) == (60, 60)
        assert len(parsed) - before == 60 - 25  # one batch was committed before the kill
        assert len(await second.search("lease worker", "papers", watermark=end.watermark)) == 10


async def test_signs_of_life_tell_how_far_it_is(memory: Memory) -> None:
    await memory.add("papers", _files(30), transfer="transfer-1")
    assert memory.progress
    assert {(p.transfer_id, p.total) for p in memory.progress} == {("transfer-1", 30)}


async def test_corpora_are_opened_listed_and_removed(memory: Memory) -> None:
    end = await memory.add("papers", _files(3), transfer="transfer-1")
    message = lib.OpenCorpora(goal_id="g", corpora=("papers", "nope"))
    opened = await memory.say(message, memory.documents.on_open, lib.CorporaOpened)
    assert (opened.missing, opened.known, opened.documents) == (("nope",), ("papers",), 3)
    assert opened.watermark == end.watermark
    listed = await memory.queries.on_list_corpora(lib.ListCorpora(), Envelope())
    assert isinstance(listed, lib.CorporaListed)
    assert [(view.name, view.documents, view.passages) for view in listed.corpora] == [("papers", 3, 3)]
    remove = lib.RemoveCorpus(corpus="papers")
    assert (await memory.say(remove, memory.documents.on_remove, Done)).count == 3
    assert (await memory.say(remove, memory.documents.on_remove, Refused)).error == "no_such_corpus"


async def test_findings_are_recalled_with_their_sources_while_the_corpus_still_holds_them(
    memory: Memory, clock: list[datetime]
) -> None:
    end = await memory.add("papers", _files(2), transfer="transfer-1")
    passage = (await memory.search("lease", "papers", watermark=end.watermark))[0]
    evidence = Evidence(evidence_id="e1", source=passage.source, sha256=passage.sha256, start=passage.start,
                        end=passage.end, quote=passage.text)  # fmt: skip
    message = Remember(
        goal_id="g1", corpora=("papers",), goal="How long does a lease last?", evidence=(evidence,),
        findings=(Finding(text=passage.text, evidence_ids=("e1",)),),
    )  # fmt: skip
    for _ in range(2):
        assert (await memory.say(message, memory.findings.on_remember, Done)).count == 1

    async def recalled(*corpora: str, namespace: str = "default") -> list[Evidence]:
        question = Recall(query="When does the lease of a worker end?", corpora=corpora, namespace=namespace)
        listed = await memory.queries.on_recall(question, Envelope())
        return [piece for finding in listed.findings for piece in finding.evidence]

    assert await recalled("papers") == [evidence]
    assert await recalled("other") == []
    assert await recalled("papers", namespace="mine") == []
    await memory.add("papers", {"x.txt": b"All else."}, transfer="transfer-2")
    assert await recalled("papers") == []
    clock[0] += timedelta(days=30)
    await memory.upkeep.run_once()
    span = lib.ReadSpans(spans=(lib.Span(sha256=passage.sha256, start=passage.start, end=passage.end),))
    assert await memory.queries.on_read_spans(span, Envelope()) == lib.SpansRead(texts=(passage.text,))
    assert (await memory.say(Forget(goal_id="g1"), memory.findings.on_forget, Done)).count == 1
    assert len((await memory.queries.on_list_findings(ListFindings(), Envelope())).findings) == 0
    await memory.upkeep.run_once()
    assert await memory.queries.on_read_spans(span, Envelope()) == lib.SpansRead(texts=(None,))


async def test_a_sentence_that_many_goals_found_is_recalled_once(memory: Memory) -> None:
    end = await memory.add("papers", _files(1), transfer="transfer-1")
    held = (await memory.search("lease", "papers", watermark=end.watermark))[0].sha256
    text = "The lease of a worker ends after ten seconds."
    found = [("g1", held, text), ("g2", held, text.replace(" of ", "  of\n")), ("g3", "0" * 64, text)]
    found.append(("g4", held, "A worker renews its lease."))
    for goal, sha, sentence in found:
        evidence = Evidence(evidence_id="e1", source="s", sha256=sha, start=0, end=1, quote="T")
        finding = Finding(text=sentence, evidence_ids=("e1",))
        message = Remember(goal_id=goal, corpora=("papers",), goal=goal, evidence=(evidence,), findings=(finding,))
        await memory.say(message, memory.findings.on_remember, Done)
    question = Recall(query="When does the lease of a worker end?", corpora=("papers",))
    listed = await memory.queries.on_recall(question, Envelope())
    assert [" ".join(one.text.split()) for one in listed.findings] == [text, "A worker renews its lease."]
    assert listed.findings[0].goal_id in {"g1", "g2"}, "the source of g3 is not there any more"


async def test_a_job_that_fails_is_tried_again_and_given_up_with_an_answer(
    memory: Memory, clock: list[datetime]
) -> None:
    memory.broken = True
    await memory.offer("papers", _files(1), transfer="transfer-1")
    await memory.chunk("transfer-1", TEXT.format("00").encode())
    request = await memory.finish("transfer-1")
    for _ in range(3):
        assert await memory.ingest.run_once()
        assert not await memory.ingest.run_once()  # it rests for a while
        clock[0] += timedelta(minutes=1)
    refused = await memory.answer(request, Refused)
    assert (refused.error, refused.reason) == ("transfer_failed", "OSError: no process can be started")
    memory.broken = False
    assert (await memory.add("papers", _files(1), transfer="transfer-1")).documents == 1
