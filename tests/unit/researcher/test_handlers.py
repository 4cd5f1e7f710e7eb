"""The researcher on a step, with doubles of memory and inference."""

import asyncio
import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from services.researcher.handlers import Researcher
from shared.contracts.evidence import Evidence, evidence_id
from shared.contracts.findings import FindingsListed, Recall, RememberedFinding
from shared.contracts.generation import Generate, Generated, Usage
from shared.contracts.library import Passage, PassagesFound, Search
from shared.contracts.steps import RunStep
from shared.errors import Rejected
from shared.runtime.agent import StepContext

TEXT = (
    "RabbitMQ keeps a message until a consumer acknowledges it. A quorum queue needs at least three nodes. "
    "Dead letters go to a dead-letter exchange. The default prefetch is unlimited."
)
SHA = hashlib.sha256(TEXT.encode()).hexdigest()
PASSAGE = Passage(passage_id="1", source="guide.md", title="Guide", sha256=SHA, start=0, end=len(TEXT), text=TEXT)


@dataclass
class Mesh:
    """Memory finds passages that share a word with the query; inference says what it is told to say, by engine."""

    passages: tuple[Passage, ...] = (PASSAGE,)
    remembered: tuple[RememberedFinding, ...] = ()
    says: dict[str, str] = field(default_factory=dict)
    finish: dict[str, str] = field(default_factory=dict)
    auto: str = "extractive"
    asked: list = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    async def ask(self, command, reply, *, deadline_s=10.0):
        self.asked.append(command)
        match command:
            case Search():
                words = command.query.casefold().split()
                hits = tuple(p for p in self.passages if any(word in p.text.casefold() for word in words))
                return PassagesFound(passages=hits, documents=214)
            case Recall():
                return FindingsListed(findings=self.remembered)
            case Generate():
                return self.generated(command)

    def generated(self, command: Generate) -> Generated:
        engine = self.auto if command.engine == "auto" else command.engine
        finish = self.finish.get(engine, "stop")
        return Generated(
            call=command.call,
            finish=finish,
            engine=engine,
            text=self.says.get(engine, ""),
            error="no such model" if finish == "failed" else None,
            usage=Usage(tokens_in=10, tokens_out=5),
        )

    def of(self, kind: type) -> list:
        return [command for command in self.asked if isinstance(command, kind)]

    def context(self, question: str, **more) -> StepContext:
        known = {"corpora": ("papers",), "watermark": 17, **more}
        step = RunStep(goal_id="g", step="1", agent="researcher", goal=question, question=question, fence=1, **known)
        return StepContext(step, "researcher-1", self.ask, self.said.append)


def run(mesh: Mesh, question: str, **more):
    return asyncio.run(Researcher().on_run_step(mesh.context(question, **more)))


def test_a_question_becomes_findings_with_verbatim_quotes():
    mesh = Mesh(says={"extractive": "A quorum queue needs at least three nodes. [p1]"})
    outcome = run(mesh, "How many nodes does a quorum queue need?")
    (finding,) = outcome.result.findings
    (item,) = outcome.result.evidence
    assert finding.evidence_ids == (item.evidence_id,)
    assert TEXT[item.start : item.end] == item.quote == "A quorum queue needs at least three nodes."
    assert outcome.engine == "extractive"
    assert outcome.usage.calls == 0
    assert {search.watermark for search in mesh.of(Search)} == {17}
    assert [search.meaning for search in mesh.of(Search)] == ["How many nodes does a quorum queue need?"]
    assert mesh.said[0] == "searching"


def test_the_call_has_the_ledgers_key_and_is_the_same_at_a_redelivery():
    mesh = Mesh(says={"extractive": "A quorum queue needs at least three nodes. [p1]"})
    run(mesh, "How many nodes?", run=2, epoch=3)
    run(mesh, "How many nodes?", run=2, epoch=3)
    first, second = mesh.of(Generate)
    assert first == second
    call = first.call
    assert (call.goal_id, call.run, call.step, call.epoch, call.purpose, call.ordinal) == (
        "g",
        2,
        "1",
        3,
        "research",
        0,
    )


def test_recall_stays_within_the_goals_namespace_and_corpora_and_cites_the_original_source():
    start = TEXT.index("Dead")
    end = TEXT.index(" The default")
    old = Evidence(
        evidence_id=evidence_id(SHA, start, end),
        source="guide.md",
        sha256=SHA,
        start=start,
        end=end,
        quote=TEXT[start:end],
    )
    finding = RememberedFinding(
        finding_id="f", goal_id="g0", namespace="team", goal="?", text="?", evidence=(old,), at=datetime.now(UTC)
    )
    mesh = Mesh(passages=(), remembered=(finding,), says={"extractive": f"{old.quote} [p1]"})
    outcome = run(mesh, "Where do dead letters go?", namespace="team", corpora=())
    (recall,) = mesh.of(Recall)
    assert (recall.namespace, recall.corpora, recall.except_goal) == ("team", (), "g")
    assert mesh.of(Search) == []
    assert [item.evidence_id for item in outcome.result.evidence] == [old.evidence_id]


def test_a_model_that_wrote_nothing_usable_is_backed_by_quotes_and_that_is_said():
    mesh = Mesh(
        auto="ollama/small",
        says={
            "ollama/small": "Quorum queues need nine nodes [p1].",
            "extractive": "The default prefetch is unlimited. [p1]",
        },
    )
    outcome = run(mesh, "What is the default prefetch?")
    assert [g.engine for g in mesh.of(Generate)] == ["auto", "extractive"]
    assert [g.call.ordinal for g in mesh.of(Generate)] == [0, 1]
    assert [finding.text for finding in outcome.result.findings] == ["The default prefetch is unlimited."]
    assert "0 of 1 sentences" in outcome.result.reason
    assert outcome.result.reason in mesh.said
    assert (outcome.usage.calls, outcome.usage.tokens_in) == (1, 10)


def test_an_answer_cut_short_is_never_success():
    mesh = Mesh(
        auto="ollama/small",
        finish={"ollama/small": "length"},
        says={"ollama/small": "The default prefetch is unlimited [p1].", "extractive": ""},
    )
    outcome = run(mesh, "What is the default prefetch?")
    assert outcome.result.findings == ()
    assert "none of the 1 nearest passages answers" in outcome.result.not_found[0]


def test_the_engine_that_the_goal_named_is_not_replaced():
    mesh = Mesh(finish={"ollama/big": "failed"}, says={"extractive": "The default prefetch is unlimited. [p1]"})
    with pytest.raises(Rejected, match="no such model"):
        run(mesh, "What is the default prefetch?", engine="ollama/big")


def test_a_name_that_no_document_mentions_is_never_answered():
    mesh = Mesh(says={"extractive": "The default prefetch is unlimited. [p1]"})
    outcome = run(mesh, "What is the default prefetch of Zyxomat?")
    assert outcome.result.findings == ()
    assert outcome.result.not_found == ('no passage in 214 documents mentions "Zyxomat"',)
    assert mesh.of(Generate) == [], "nothing was paid for"


def test_one_of_two_names_missing_is_said_beside_what_was_found():
    mesh = Mesh(says={"extractive": "RabbitMQ keeps a message until a consumer acknowledges it. [p1]"})
    outcome = run(mesh, "When do RabbitMQ and Zyxomat drop a message?")
    assert len(outcome.result.findings) == 1
    assert outcome.result.not_found == ('no passage in 214 documents mentions "Zyxomat"',)


def test_a_goal_without_a_corpus_and_without_memories_says_so():
    outcome = run(Mesh(), "What is a queue?", corpora=())
    assert outcome.result.status == "done"
    assert "the goal names no corpus" in outcome.result.not_found[0]


def test_nothing_in_the_corpus_is_an_honest_answer():
    outcome = run(Mesh(passages=()), "What is a queue?")
    assert outcome.result.not_found == ("no passage in 214 documents matches: What is a queue?",)
