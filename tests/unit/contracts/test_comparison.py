"""What a question compares."""

import pytest

from shared.contracts.comparison import Comparison, comparison


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("How do RabbitMQ and Kafka differ in delivery, ordering and replay?",
         Comparison(("RabbitMQ", "Kafka"), ("delivery", "ordering", "replay"))),
        ("Compare the red pump, the blue pump and the green pump", Comparison(("red pump", "blue pump", "green pump"))),
        ("What is the difference between A and B?", Comparison(("A", "B"))),
        ("Redis vs. Memcached", Comparison(("Redis", "Memcached"))),
        ("Compare X and Y in terms of price from these documents, with sources", Comparison(("X", "Y"), ("price",))),
        ("How do queues work?", None),
        ("What is RabbitMQ?", None),
    ],
)  # fmt: skip
def test_subjects_and_aspects(question: str, found: Comparison | None) -> None:
    assert comparison(question) == found
