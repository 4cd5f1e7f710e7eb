"""A sentence in the first person is given to its authors, and read back as what they said."""

import pytest

from shared.contracts.citing import cited_sentences
from shared.contracts.labels import LABELS
from shared.contracts.voice import attributed, said_by


@pytest.mark.parametrize(
    "text",
    [
        "We measured a median of 3 ms.",
        "Our results hold for three nodes.",
        "In this paper, we study retries.",
        "I recommend a limit of 20 deliveries.",
        "Wir messen 3 ms im Mittel.",
        "Nous avons mesuré 3 ms.",
        "Nuestros resultados valen para tres nodos.",
    ],
)
@pytest.mark.parametrize("language", LABELS)
def test_the_first_person_is_given_to_its_authors_and_read_back(text: str, language: str):
    spoken = attributed(text, title="Retries, a study", labels=LABELS[language])
    assert "Retries, a study" in spoken
    assert spoken.endswith(f'"{text}"')
    assert said_by(spoken, ["Another", "Retries, a study"]) == text
    (read,) = cited_sentences(f"- {spoken} [1]\n", ["1"])
    assert said_by(read.text, ["Retries, a study"]) == text


@pytest.mark.parametrize(
    "text",
    [
        "I/O takes 3 ms.",
        "Weather is measured each hour.",
        "Messages that we publish are confirmed.",
        "Ouroboros is a protocol.",
        "The queue is durable.",
    ],
)
def test_every_other_sentence_is_left_as_it_is(text: str):
    assert attributed(text, title="Queues", labels=LABELS["en"]) == text


def test_a_title_that_would_break_the_sentence_is_not_named():
    text = "We measured 3 ms."
    assert attributed(text, title="", labels=LABELS["en"]) == text
    assert attributed(text, title="Is it fast? Yes. A study", labels=LABELS["en"]) == text


def test_nobody_elses_words_are_taken_for_theirs():
    """A model may not hide a claim of its own in the attribution."""
    forged = 'The authors of Kafka, which loses messages: "We measured 3 ms."'
    assert said_by(forged, ["Kafka"]) == forged
    assert said_by('The authors of Kafka: "', ["Kafka"]) == 'The authors of Kafka: "'
