"""The language of a question, and the fixed words of its report."""

import re
from dataclasses import fields

import pytest

from shared.contracts.comparison import comparison
from shared.contracts.labels import LABELS, Labels, counted, labels_for, language_of


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("How do RabbitMQ and Kafka differ?", "en"),
        ("Wie unterscheiden sich RabbitMQ und Kafka?", "de"),
        ("Was ist eine Warteschlange?", "de"),
        ("Quelle est la différence entre RabbitMQ et Kafka ?", "fr"),
        ("Qu'est-ce que la file d'attente et pourquoi ?", "fr"),
        ("¿Cuál es la diferencia entre RabbitMQ y Kafka?", "es"),
        ("¿Qué es una cola?", "es"),
        ("RabbitMQ", "en"),
        ("", "en"),
    ],
)
def test_the_language_of_a_question(question: str, language: str) -> None:
    assert language_of(question) == language


def test_every_language_has_every_word_with_no_place_that_nobody_fills() -> None:
    for labels in LABELS.values():
        for field in fields(labels):
            for one, other in zip(_forms(LABELS["en"], field.name), _forms(labels, field.name), strict=True):
                assert other
                assert set(re.findall(r"{\w+}", other)) <= set(re.findall(r"{\w+}", one)), field.name


def _forms(labels: Labels, name: str) -> tuple[str, ...]:
    value = getattr(labels, name)
    return (value,) if isinstance(value, str) else value


def test_numbers_and_their_words() -> None:
    assert counted(LABELS["en"].in_sources, 1) == "1 source"
    assert counted(LABELS["de"].in_sources, 3) == "3 Quellen"
    assert labels_for("Was ist das?").summary == "Zusammenfassung"


@pytest.mark.parametrize(
    ("question", "subjects"),
    [
        ("Wie unterscheiden sich RabbitMQ und Kafka?", ("RabbitMQ", "Kafka")),
        ("Was ist der Unterschied zwischen dem Hund und der Katze?", ("Hund", "Katze")),
        ("Quelle est la différence entre le chien et le chat ?", ("chien", "chat")),
        ("¿Cuál es la diferencia entre RabbitMQ y Kafka?", ("RabbitMQ", "Kafka")),
    ],
)
def test_comparisons_in_other_languages(question: str, subjects: tuple[str, ...]) -> None:
    found = comparison(question)
    assert found is not None
    assert found.subjects == subjects
