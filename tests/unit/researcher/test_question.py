"""What is searched for, read off the question."""

import pytest

from services.researcher.question import compared, names, queries


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How do quorum queues and classic queues differ?", "classic queues"),
        ("What is a dead letter and why does it need an exchange?", "need exchange"),
        ("RabbitMQ vs Kafka: which is faster?", "RabbitMQ"),
        ("What is the difference between prefetch and credit?", "prefetch"),
    ],
)
def test_the_whole_question_is_searched_first_then_its_parts(question, expected):
    found = queries(question)
    assert 1 < len(found) <= 3
    assert expected in found[1:]


@pytest.mark.parametrize("question", ["?", "...", "日本語の質問", "why", "x" * 4000])
def test_every_question_gives_at_least_one_search(question):
    assert queries(question)[0]
    assert len(queries(question)) <= 3


def test_names_are_what_is_spelled_like_a_name():
    assert names('Does RabbitMQ 4.3 set x_queue_type on HTTP2 for the "main lane"?') == (
        "main lane",
        "RabbitMQ",
        "x_queue_type",
        "HTTP2",
    )
    assert names("What is a queue?") == ()


def test_a_capital_is_no_name_in_german_nor_in_a_headline():
    assert names("Wie unterscheiden sich Warteschlangen und Themen?") == ()
    assert names("What Does A Queue Do") == ()


def test_what_is_no_comparison_compares_nothing():
    assert compared("What is a queue?") == ()
