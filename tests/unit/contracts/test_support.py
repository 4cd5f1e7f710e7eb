"""The gate's judgement: what a quote supports, and what it does not although the words are the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.evidence import best_quote, quote_holds, supports
from shared.contracts.sentences import sentences
from tests.unit.contracts.prose import MUTATIONS, PARAPHRASES, SOURCES


@pytest.mark.parametrize("source", SOURCES)
def test_a_verbatim_sentence_always_holds(source: str) -> None:
    assert supports(source, [source]).holds
    assert supports(source, ["Something else stands before it. " + source + " And after it."]).holds


def test_of_faithful_paraphrases_at_most_one_in_ten_is_refused() -> None:
    refused = [claim for claim, source in PARAPHRASES if not supports(claim, [source]).holds]
    assert len(refused) <= 0.1 * len(PARAPHRASES), refused


def test_of_turned_sentences_at_least_19_in_20_are_refused() -> None:
    made = [(turned, s, m.__name__) for s in SOURCES for m in MUTATIONS if (turned := m(s)) and turned != s]
    passed = [(kind, turned) for turned, source, kind in made if supports(turned, [source]).holds]
    assert len(made) > 60
    assert len(passed) <= 0.05 * len(made), passed


@pytest.mark.parametrize(
    ("claim", "quotes"),
    [
        ("B is faster than A.", ["A is faster than B."]),
        ("A is slower than B.", ["A is faster than B."]),
        ("The time-out is 30 seconds.", ["By default the time-out is 30 minutes."]),
        ("The broker drops messages.", ["The broker may drop messages."]),
        ("Kafka stores messages on disk.", ["RabbitMQ stores messages on disk."]),
        ("Classic queues are replicated.", ["Classic queues are not replicated."]),
        (
            "RabbitMQ retains messages longer than Apache Kafka.",
            ["Apache Kafka retains messages longer than RabbitMQ."],
        ),
        ("The value is 10 MB.", ["The value is at most 10 MB."]),
        ("It takes at least 5 seconds.", ["It takes at most 5 seconds."]),
        ("Latency increased by 5%.", ["Latency decreased by 5%."]),
        ("Acks are sent before the commit.", ["Acks are sent after the commit."]),
        ("The option enables retries.", ["The option disables retries."]),
        ("Most clients reconnect.", ["Some clients reconnect."]),
        ("Clients reconnect automatically.", ["Clients usually reconnect automatically."]),
        (
            "Publishing with publisher confirms is faster than publishing without them.",
            ["Waiting for confirms makes publishing slower than publishing without them."],
        ),
        (
            "With confirms publishing is faster than without confirms.",
            ["Each publish that waits for its confirms is slower than publishing without confirms."],
        ),
        (
            "Mit Bestätigungen ist das Veröffentlichen schneller als ohne sie.",
            ["Das Veröffentlichen, das auf Bestätigungen wartet, ist langsamer als ohne sie."],
        ),
        ("All queues are durable.", ["Queues are durable."]),
        ("The check works.", ["It is not true that the check works."]),
        ("The limit rose from 5 to 3.", ["The limit rose from 3 to 5."]),
        ("Writes take 10 ms and reads take 5 ms.", ["Writes take 5 ms and reads take 10 ms."]),
        ("Messages are lost.", ["Messages are lost if the broker crashes."]),
        ("Brokers are routed by messages.", ["Messages are routed by brokers."]),
        ("It lasts up to 5 days.", ["It lasts 5 days."]),
        (
            "Redis stores messages on disk and RabbitMQ keeps them in memory.",
            ["RabbitMQ stores messages on disk.", "Redis keeps messages in memory."],
        ),
        ("Die Warteschlange ist dauerhaft.", ["Die Warteschlange ist nicht dauerhaft."]),
        (
            "A quorum queue keeps a copy on several nodes and pigs can fly over the moon.",
            ["A quorum queue keeps a copy on several nodes."],
        ),
        ("", ["Anything at all."]),
        ("The queue is durable.", []),
    ],
)
def test_what_turns_its_source_round_is_refused_with_a_reason(claim: str, quotes: list[str]) -> None:
    verdict = supports(claim, quotes)
    assert not verdict.holds
    assert verdict.reason


@pytest.mark.parametrize(
    ("claim", "quotes"),
    [
        ("A is faster than B.", ["B is slower than A."]),
        ("Messages are routed by the exchange.", ["The exchange routes messages."]),
        ("Queues, exchanges and bindings are durable.", ["Bindings, exchanges and queues are durable."]),
        (
            "When the queue is full the broker blocks publishers.",
            ["The broker blocks publishers when the queue is full."],
        ),
        (
            "RabbitMQ stores messages on disk and Redis keeps them in memory.",
            ["RabbitMQ stores messages on disk.", "Redis keeps messages in memory."],
        ),
        (
            "A retry queue without consumers is slower than a work queue.",
            ["A work queue is faster than a retry queue without consumers."],
        ),
        ("It works without a slower consumer.", ["It works with a faster consumer."]),
        ("The limit is 1000 messages.", ["The limit is 1,000 messages."]),
        ("It waits ten seconds.", ["It waits 10 s."]),
        ("Queues are durable [3].", ["**Queues** are durable."]),
    ],
)
def test_the_same_said_otherwise_holds(claim: str, quotes: list[str]) -> None:
    assert supports(claim, quotes) == supports(claim, quotes)
    assert supports(claim, quotes).holds, supports(claim, quotes).reason


def test_the_best_quote_is_the_sentence_that_says_it() -> None:
    passage = "# Time-outs\nA consumer acknowledges.\nBy default the consumer time-out is 30 minutes. It can be raised."
    span = best_quote("The default time-out is 30 minutes.", passage)
    assert span is not None
    assert passage[slice(*span)] == "By default the consumer time-out is 30 minutes."
    assert best_quote("The default time-out is 20 minutes.", passage) is None
    assert best_quote("The moon is made of cheese.", passage) is None


def test_a_quote_holds_only_at_its_offsets() -> None:
    text = "Grüße: one, two."
    assert quote_holds(text, 7, 10, "one")
    assert not quote_holds(text, 6, 9, "one")
    assert not quote_holds(text, 7, 99, "one, two.")
    assert not quote_holds(text, 5, 5, "")


@given(st.text(max_size=150), st.lists(st.text(max_size=150), max_size=3))
def test_any_text_is_survived(claim: str, quotes: list[str]) -> None:
    assert supports(claim, quotes).holds in (True, False)


@given(st.lists(st.sampled_from(SOURCES), min_size=1, max_size=4))
def test_best_quote_lies_within_the_passage_and_supports(picked: list[str]) -> None:
    passage = " ".join(picked)
    for sentence in sentences(passage):
        span = best_quote(sentence.text, passage)
        assert span is not None
        assert supports(sentence.text, [passage[slice(*span)]]).holds
