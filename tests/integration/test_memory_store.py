"""Memory's store by one contract suite on SQLite and PostgreSQL, and the search index that follows it."""

import pytest

from services.memory.parsers import Unparsed
from services.memory.transfer import Known
from shared.contracts.evidence import Evidence, Finding
from shared.contracts.findings import Forget, Remember
from shared.errors import Retryable
from shared.messaging.envelope import Envelope
from tests.integration.memory_library import NOW, Memory, _hash, _offer, memory, postgres

__all__ = ["memory", "postgres"]


async def test_a_text_is_stored_once_however_many_corpora_hold_it(memory: Memory) -> None:
    await memory.put("a", one="The lease of a worker ends.")
    await memory.put("b", other="The lease of a worker ends.", more="A queue is long.")
    async with memory.database.read() as connection:
        views = {view.name: view.documents for view in await memory.library.corpora(connection)}
    assert views == {"a": 1, "b": 2}
    assert await memory.search("lease", "b") == ["other"]
    assert await memory.search("lease", "b", "a") == ["other"]
    assert await memory.search("lease", "a") == ["one"]
    assert await memory.search("lease", "c") == []


async def test_a_search_sees_what_its_watermark_names(memory: Memory) -> None:
    assert await memory.search("lease", "a", watermark=0) == []
    first = await memory.put("a", one="The lease of a worker ends.")
    assert await memory.search("lease", "a", watermark=first) == ["one"]
    second = await memory.put("a", two="Another lease.")
    assert second > first
    assert sorted(await memory.search("lease", "a", watermark=second)) == ["one", "two"]
    with pytest.raises(Retryable):
        await memory.search("lease", "a", watermark=second + 1)


async def test_spans_are_read_in_characters(memory: Memory) -> None:
    await memory.put("a", one="Größe 😀 zählt.")
    async with memory.database.read() as connection:
        read = memory.library.read
        assert await read(connection, _hash("Größe 😀 zählt."), start=6, end=9) == "😀 z"
        assert await read(connection, _hash("Größe 😀 zählt."), start=6, end=99) is None
        assert await read(connection, "0" * 64, start=0, end=1) is None


async def test_what_leaves_a_corpus_is_not_found_and_is_purged_unless_a_finding_cites_it(memory: Memory) -> None:
    await memory.put("a", gone="A lease ends.", cited="A lease is renewed.", kept="A lease is held.")
    cited = _hash("A lease is renewed.")
    async with memory.database.unit() as unit:
        await memory.findings.remember(unit.connection, _remember("g1", cited), now=NOW, keep=10)
        await memory.library.set_members(unit.connection, "a", put_in=(), take_out=("gone", "cited"), now=NOW)
    assert await memory.search("lease", "a") == ["kept"]
    async with memory.database.unit() as unit:
        assert await memory.library.purge(unit.connection, before=NOW) == 0
        assert await memory.library.purge(unit.connection, before=NOW + 1) == 1
    async with memory.database.unit() as unit:
        assert await memory.library.sizes(unit.connection, [cited, _hash("A lease ends.")]) == {cited: 19}
        await memory.findings.forget(unit.connection, Forget(everything=True))
        assert await memory.library.purge(unit.connection, before=NOW + 1) == 1


async def test_what_became_of_a_file_is_known_until_its_reason_passes_or_its_text_is_gone(memory: Memory) -> None:
    slow, scan = Unparsed("parsing took over 60 s", passing=True), Unparsed("no text layer: a scan?")
    async with memory.database.unit() as unit:
        rows = [(_hash("1"), "pdf", slow), (_hash("2"), "pdf", scan)]
        await memory.library.save(unit.connection, rows, now=NOW)
        await memory.library.save(unit.connection, rows, now=NOW)
    async with memory.database.read() as connection:
        keys = [_hash("1"), _hash("2"), _hash("3")]
        assert await memory.library.known(connection, keys, now=NOW) == {
            (keys[0], "pdf"): Known(None, slow.reason),
            (keys[1], "pdf"): Known(None, scan.reason),
        }
        assert set(await memory.library.known(connection, keys, now=NOW + 86400)) == {(keys[1], "pdf")}


async def test_a_removed_corpus_is_forgotten(memory: Memory) -> None:
    await memory.put("a", one="A lease ends.", two="A lease begins.")
    async with memory.database.unit() as unit:
        assert await memory.library.remove_corpus(unit.connection, "a", now=NOW) == 2
    assert await memory.search("lease", "a") == []
    async with memory.database.read() as connection:
        assert await memory.library.existing(connection, ["a"]) == set()


async def test_an_offer_comes_in_parts_and_twice(memory: Memory) -> None:
    async with memory.database.unit() as unit:
        await memory.transfers.offer(unit.connection, _offer("a", "b", part=2, parts=2), now=NOW)
        transfer = await memory.transfers.load(unit.connection, "transfer-1")
        assert transfer is not None
        assert await memory.transfers.missing_parts(unit.connection, transfer) == [1]
        await memory.transfers.offer(unit.connection, _offer("c", part=1, parts=2), now=NOW)
        await memory.transfers.offer(unit.connection, _offer("a", "b", part=2, parts=2), now=NOW)
        assert await memory.transfers.missing_parts(unit.connection, transfer) == []
        assert [file.name for file in await memory.transfers.files(unit.connection, "transfer-1")] == ["a", "b", "c"]
        assert await memory.transfers.size_of(unit.connection, "transfer-1", _hash("a")) == 6
        assert await memory.transfers.size_of(unit.connection, "transfer-1", _hash("x")) is None


async def test_chunks_arrive_in_any_order_and_twice(memory: Memory) -> None:
    raw, transfers = _hash("a"), memory.transfers
    async with memory.database.unit() as unit:
        for number, data in ((1, b"def"), (0, b"abc"), (1, b"def")):
            await transfers.put_chunk(unit.connection, raw, number=number, count=3, data=data, now=NOW)
        assert await transfers.arrived(unit.connection, [raw]) == {raw: ((0, 1), 3)}
        assert await transfers.complete(unit.connection, [raw]) == set()
        await transfers.put_chunk(unit.connection, raw, number=2, count=3, data=b"g", now=NOW)
        assert await transfers.complete(unit.connection, [raw]) == {raw}
        assert await transfers.bytes_of(unit.connection, raw) == b"abcdefg"
        await transfers.put_chunk(unit.connection, raw, number=0, count=1, data=b"whole", now=NOW)
        assert await transfers.bytes_of(unit.connection, raw) == b"whole"


async def test_one_worker_has_the_job_until_its_lease_ends(memory: Memory) -> None:
    transfers = memory.transfers
    request = Envelope(message_id="m1", reply_to="client.me", correlation_id="c", headers={"goal_id": "g"})
    async with memory.database.unit() as unit:
        await transfers.offer(unit.connection, _offer("a"), now=NOW)
        assert await transfers.claim(unit.connection, "w1", now=NOW, until=NOW + 15) is None
        await transfers.finish(unit.connection, "transfer-1", request=request, now=NOW)
        await transfers.finish(unit.connection, "transfer-1", request=request, now=NOW)
        assert await transfers.claim(unit.connection, "w1", now=NOW, until=NOW + 15) is not None
        assert await transfers.claim(unit.connection, "w2", now=NOW + 1, until=NOW + 16) is None
        assert await transfers.claim(unit.connection, "w1", now=NOW + 2, until=NOW + 17) is not None
        assert await transfers.claim(unit.connection, "w2", now=NOW + 20, until=NOW + 35) is not None
        assert not await transfers.renew(unit.connection, "transfer-1", "w1", now=NOW + 21, until=NOW + 36)
        assert await transfers.renew(unit.connection, "transfer-1", "w2", now=NOW + 21, until=NOW + 36)
        assert await transfers.end(unit.connection, "transfer-1", state="done", result="{}", now=NOW) == [request]
        assert await transfers.end(unit.connection, "transfer-1", state="done", result="{}", now=NOW) == []
        assert await transfers.claim(unit.connection, "w1", now=NOW + 99, until=NOW + 114) is None


async def test_transfers_nobody_finishes_are_purged_and_results_later(memory: Memory) -> None:
    transfers = memory.transfers
    async with memory.database.unit() as unit:
        for name in ("transfer-1", "transfer-2", "transfer-3"):
            await transfers.offer(unit.connection, _offer("a", transfer=name), now=NOW)
        await transfers.finish(unit.connection, "transfer-2", request=Envelope(message_id="m"), now=NOW)
        await transfers.end(unit.connection, "transfer-3", state="done", result="{}", now=NOW)
        await transfers.put_chunk(unit.connection, _hash("a"), number=0, count=1, data=b"x", now=NOW)
        await transfers.put_chunk(unit.connection, _hash("b"), number=0, count=1, data=b"x", now=NOW)
        assert await transfers.purge(unit.connection, before=NOW + 1, results_before=NOW) == 1
        assert set(await transfers.arrived(unit.connection, [_hash("a"), _hash("b")])) == {_hash("a")}
        assert await transfers.purge(unit.connection, before=NOW + 1, results_before=NOW + 1) == 1
        assert await transfers.load(unit.connection, "transfer-2") is not None


def _remember(
    goal: str, sha: str, *texts: str, namespace: str = "default", corpora: tuple[str, ...] = ("a",)
) -> Remember:
    evidence = Evidence(evidence_id="e1", source="one", sha256=sha, start=0, end=7, quote="A lease")
    return Remember(
        goal_id=goal, namespace=namespace, corpora=corpora, goal="What is a lease of a worker?", evidence=(evidence,),
        findings=tuple(Finding(text=text, evidence_ids=("e1",)) for text in texts or ("A lease ends.",)),
    )  # fmt: skip


async def test_findings_are_remembered_once_per_goal_and_the_newest_are_kept(memory: Memory) -> None:
    findings = memory.findings
    async with memory.database.unit() as unit:
        for at in (1, 2):
            await findings.remember(unit.connection, _remember("g1", "a" * 64, "one", "two"), now=NOW + at, keep=3)
        assert len(await findings.newest(unit.connection, "default", limit=9)) == 2
        touched = await findings.remember(unit.connection, _remember("g2", "a" * 64, "x", "y"), now=NOW + 3, keep=3)
        assert touched == {("default", "g2"), ("default", "g1")}
        await findings.remember(unit.connection, _remember("g3", "a" * 64, namespace="other"), now=NOW, keep=3)
        assert [one.text for one in await findings.newest(unit.connection, "default", limit=9)] == ["x", "y", "one"]
        assert await findings.forget(unit.connection, Forget(goal_id="g2")) == (2, {("default", "g2")})
        assert [one.text for one in await findings.newest(unit.connection, "default", limit=9)] == ["one"]


async def test_recall_keeps_to_namespace_and_corpora(memory: Memory) -> None:
    async def recall(namespace: str, *corpora: str, but: str | None = None) -> list[str]:
        found = await memory.follower.ask(
            lambda index: index.recall("lease of a worker", namespace=namespace, corpora=corpora, except_goal=but)
        )
        async with memory.database.read() as connection:
            rows = await memory.findings.by_id(connection, [key for key, _ in found])
        return [rows[key].goal_id for key, _ in found]

    async with memory.database.unit() as unit:
        touched = set[tuple[str, str]]()
        for goal, more in (("g1", {}), ("g2", {"corpora": ("a", "b")}), ("g3", {"namespace": "other"})):
            message = _remember(goal, "a" * 64, **more)
            touched |= await memory.findings.remember(unit.connection, message, now=NOW, keep=9)
        await memory.library.change(unit.connection, [("findings", "/".join(pair)) for pair in touched])
    assert await recall("default", "a") == ["g1"]
    assert sorted(await recall("default", "b", "a")) == ["g1", "g2"]
    assert await recall("default", "a", "b", but="g2") == ["g1"]
    assert await recall("other", "a") == ["g3"]
    assert await recall("default") == []
