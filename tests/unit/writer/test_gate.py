"""The citation gate against planted lies."""

import pytest

from services.writer import gate
from services.writer.gate import Claim, Failure
from shared.contracts.citing import CitedSentence


@pytest.fixture
def evidence(lines, make_quote):
    return [make_quote(line) for line in lines]


@pytest.fixture
def archive(evidence):
    return gate.archive(evidence, [item.quote for item in evidence])


def test_what_stands_in_the_stored_text_and_is_said_by_it_passes(archive, evidence):
    for item in evidence:
        assert gate.verdict_on(CitedSentence(item.quote, (item.evidence_id,)), archive) == Claim(
            item.quote, (item.evidence_id,)
        )


@pytest.mark.parametrize(
    ("line", "lie"),
    [
        (0, "Quorum queues do not replicate every message to a majority of nodes."),
        (0, "Kafka topics replicate every message to a majority of nodes."),
        (1, "A quorum queue needs at least five nodes."),
        (3, "A classic queue loses messages when its node fails."),
        (4, "The default delivery limit of quorum queues is 200 deliveries."),
        (5, "Plain publishing is slower than publisher confirms."),
        (5, "Publisher confirms are faster than plain publishing."),
        (7, "Streams are suited for task queues."),
        (6, "The moon landing was filmed in a studio in Nevada."),
        (0, "仲裁队列将每条消息复制到大多数节点。"),
        (0, "Quorum queues replicate every message to a majority of nodes, and penguins can fly over the moon."),
        (6, "Dead letters keep their original headers " + "and so on " * 100),
    ],
)
def test_a_planted_lie_fails_with_a_reason(archive, evidence, line, lie):
    verdict = gate.verdict_on(CitedSentence(lie, (evidence[line].evidence_id,)), archive)
    assert isinstance(verdict, Failure), verdict
    assert verdict.reason


def test_a_sentence_that_cites_nothing_or_nothing_that_exists_fails(archive, lines):
    judged = gate.judge(f"{lines[0]} {lines[1]} [99] {lines[2]} [e000000000000].", archive)
    assert judged.passed == ()
    assert [failure.reason for failure in judged.failed] == [
        "it cites nothing",
        "it cites [99], which is no evidence of this goal",
        "it cites [e000000000000], which is no evidence of this goal",
    ]


def test_a_quote_that_does_not_stand_at_its_offsets_supports_nothing(evidence):
    stored = [None, "A quorum queue needs at least four nodes.", *(item.quote for item in evidence[2:])]
    archive = gate.archive(evidence, stored)
    for item in evidence[:2]:
        verdict = gate.verdict_on(CitedSentence(item.quote, (item.evidence_id,)), archive)
        assert isinstance(verdict, Failure)
        assert verdict.reason == gate.NOT_STORED


def test_evidence_whose_id_length_or_span_is_made_up_is_not_even_read(evidence):
    item = evidence[0]
    forged = [
        item.model_copy(update={"evidence_id": "e123456789ab"}),
        item.model_copy(update={"end": item.end + 10**9}),
        item.model_copy(update={"quote": item.quote + "!"}),
    ]
    assert gate.readable([*forged, item, item]) == (item,)


def test_citations_that_do_not_carry_the_sentence_are_dropped_and_those_that_do_are_kept(archive, evidence, lines):
    first, second, third = (evidence[n].evidence_id for n in (0, 2, 6))
    alone = gate.verdict_on(CitedSentence(lines[0], (first, third)), archive)
    assert alone == Claim(lines[0], (first,))
    joint = f"{lines[0][:-1]} and classic queues keep messages on a single node."
    both = gate.verdict_on(CitedSentence(joint, (first, second, third)), archive)
    assert both == Claim(joint, (first, second))


def test_a_loop_is_said_once_and_read_to_its_bound(archive, evidence, lines):
    judged = gate.judge(f"{lines[0]} [{evidence[0].evidence_id}] " * 100_000, archive)
    assert len(judged.passed) == 1
    lie = gate.judge(f"Pigs fly well [{evidence[0].evidence_id}]. " * 100_000, archive)
    assert (len(lie.passed), len(lie.failed)) == (0, 1)


def test_sentences_that_differ_in_a_number_are_not_the_same(lines):
    assert not gate.same(lines[4], lines[4].replace("20", "30")), "a contradiction is shown, not merged"
    assert gate.same(lines[0], "Quorum queues replicate every message to the majority of their nodes.")


def test_a_failed_sentence_is_repaired_by_the_nearest_sentence_of_what_it_cites(archive, evidence, lines):
    name = evidence[1].evidence_id
    failure = gate.verdict_on(CitedSentence("A quorum queue needs at least nine nodes.", (name,)), archive)
    assert gate.verbatim(failure, archive) == Claim(lines[1], (name,))
    assert gate.verbatim(Failure("Pigs fly.", (name,), ""), archive) is None, "nothing near: nothing to repair it by"


def test_a_repair_mends_the_failure_nearest_to_it(archive):
    one, other = Failure("Quorum queues need nine nodes.", (), "x"), Failure("Streams suit task queues.", (), "y")
    left = gate.repaired([one, other], [Claim("A quorum queue needs three nodes.", ("e1",))])
    assert left == (other,)


@pytest.mark.parametrize("text", ["", "\x00", "[", "[[[[[[", "]" * 9999, "[e1]" * 9999, "NOT FOUND", "\u202e[1]"])
def test_no_answer_can_break_the_gate(archive, text):
    assert gate.judge(text, archive).passed == ()
