"""Documents' whole way into the library, and findings' way back: handlers and job on a real database with real parsers.
No broker: the relay is caught."""

import asyncio
import base64
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from shared.contracts import library as lib
from shared.contracts.message import Done, Refused
from shared.messaging.envelope import Envelope
from tests.integration.memory_process import DEADLINE_S, TEXT, Memory, _files, _hash, _process, clock, memory

__all__ = ["clock", "memory"]


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
