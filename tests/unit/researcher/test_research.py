"""Passages in, findings out: every finding cites a verbatim quote at the offsets of the stored text."""

import hashlib

from services.researcher import research
from services.researcher.question import unanswerable
from shared.contracts.library import Passage
from shared.contracts.steps import RunStep

TEXT = (
    "Quorum queues replicate every message to a majority of nodes. They need at least three nodes to survive a "
    "failure. Classic queues keep messages on a single node. A classic queue may lose messages when its node fails."
)
SHA = hashlib.sha256(TEXT.encode()).hexdigest()
STEP = RunStep(goal_id="g", step="1", agent="researcher", goal="?", question="How do the queues differ?", fence=1)


def passage(start: int = 0, end: int = len(TEXT), *, sha256: str = SHA, text: str | None = None, **more) -> Passage:
    known = {"passage_id": f"{start}", "source": "queues.md", "title": "Queues", "heading": "Kinds", **more}
    return Passage(sha256=sha256, start=start, end=end, text=TEXT[start:end] if text is None else text, **known)


def test_a_quote_stands_at_its_offsets_in_the_stored_text():
    half = TEXT.index("Classic")
    found = research.found("Classic queues keep messages on a single node [p2].", [passage(0, half), passage(half)])
    (item,) = found.evidence
    assert TEXT[item.start : item.end] == item.quote == "Classic queues keep messages on a single node."
    assert found.findings[0].evidence_ids == (item.evidence_id,)
    assert (item.title, item.heading, item.source, item.sha256) == ("Queues", "Kinds", "queues.md", SHA)


def test_sentences_that_no_quote_supports_are_dropped():
    lies = (
        "Classic queues replicate every message to five nodes [p1]. Quorum queues are written in Java [p1]. "
        "Quorum queues replicate every message to a majority of nodes [p7]. Nothing is cited here. "
        "A classic queue never loses messages when its node fails [p1]. "
        "Classic queues keep messages on a single node and penguins fly over the moon [p1]."
    )
    found = research.found(lies, [passage()])
    assert (found.findings, found.evidence, found.dropped) == ((), (), 6)


def test_a_sentence_may_rest_on_two_passages_together():
    half = TEXT.index("Classic")
    claim = (
        "Quorum queues replicate every message to a majority of nodes and classic queues keep messages on a single node"
    )
    found = research.found(f"{claim} [p1][p2].", [passage(0, half), passage(half)])
    assert len(found.findings) == 1
    assert len(found.findings[0].evidence_ids) == 2


def test_an_answer_without_end_is_read_to_its_bound():
    loop = "Classic queues keep messages on a single node [p1]. " * 5000
    found = research.found(loop, [passage()])
    assert len(found.findings) == 1


def test_a_result_stays_small_enough_for_twelve_of_them_in_one_message():
    sentences = [f"Ключ номер {n} " + "очень " * 90 + "важен." for n in range(16)]
    passages = [
        passage(0, len(text), sha256=hashlib.sha256(text.encode()).hexdigest(), text=text, source="я" * 1024)
        for text in sentences
    ]
    answer = " ".join(f"{text[:-1]} [p{n}]." for n, text in enumerate(sentences, start=1))
    found = research.found(answer, passages)
    assert found.findings
    assert len(research.result(STEP, found).model_dump_json().encode()) < research.RESULT_BYTES + 1024
    cited = {i for finding in found.findings for i in finding.evidence_ids}
    assert cited == {item.evidence_id for item in found.evidence}


def test_ranks_are_merged_and_a_passage_within_a_better_one_is_left_out():
    a, b, c = passage(0, 60), passage(61, 120), passage(10, 40)
    merged = research.merged([[a, b], [b, c], [b]])
    assert [(p.start, p.end) for p in merged] == [(61, 120), (0, 60)]


def test_the_same_reading_gives_the_same_request_whatever_order_the_ties_come_in():
    one = research.merged([[passage(0, 60)], [passage(61, 120)]])
    other = research.merged([[passage(61, 120)], [passage(0, 60)]])
    make = lambda passages: research.request(STEP, passages, ordinal=0, engine="auto").model_dump_json()  # noqa: E731
    assert make(one) == make(other)


def test_a_call_reads_no_more_than_a_small_context_holds():
    many = [passage(text="x" * 2000, sha256=f"{n:064}") for n in range(40)]
    chosen = research.to_read(many)
    assert sum(len(p.text) for p in chosen) <= research.REACH_CHARACTERS
    request = research.request(STEP, chosen, ordinal=0, engine="auto")
    assert len(request.inputs.passages) == len(chosen), "the engine that quotes reads all of them"
    assert sum(len(m.content) for m in request.messages) < research.PASSAGE_CHARACTERS + 2000, "a model the nearest"
    assert len(research.to_read([passage(text="x" * 40_000)])) == 1


def test_what_was_sought_and_not_found_is_said_plainly():
    step = STEP.model_copy(update={"corpora": ("papers",)})
    assert research.nothing_said(step, documents=214, absent=["Zyx"]) == ('no passage in 214 documents mentions "Zyx"',)
    assert "names no corpus" in research.nothing_said(STEP, documents=0)[0]
    assert research.nothing_said(step, documents=1) == ("no passage in 1 document matches: How do the queues differ?",)


def test_a_question_about_a_name_that_is_nowhere_is_not_answered() -> None:
    assert unanswerable("How does Postgres run on Zyxomat?", ["Zyxomat"])
    assert not unanswerable("How does Postgres run on Linux?", [])


def test_what_is_compared_with_a_missing_name_can_still_be_told() -> None:
    assert not unanswerable("What is the difference between RabbitMQ and Zyxomat?", ["Zyxomat"])
    assert not unanswerable("When do RabbitMQ and Zyxomat drop a message?", ["Zyxomat"])
    assert unanswerable("What do RabbitMQ and Zyxomat do?", ["RabbitMQ", "Zyxomat"])
