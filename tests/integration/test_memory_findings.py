"""Findings of goals: recalled with their sources, once."""

from datetime import datetime, timedelta

from shared.contracts import library as lib
from shared.contracts.evidence import Evidence, Finding
from shared.contracts.findings import Forget, ListFindings, Recall, Remember
from shared.contracts.message import Done
from shared.messaging.envelope import Envelope
from tests.integration.memory_process import Memory, _files, clock, memory

__all__ = ["clock", "memory"]


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
