"""The language of a question, and the fixed words of its report."""

import re
from dataclasses import fields

import pytest

from shared.contracts.comparison import comparison
from shared.contracts.labels import LABELS, Labels, counted, labels_for
from shared.contracts.language import is_foreign, language_of


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


@pytest.mark.parametrize(
    "question",
    [
        "Quali sono le differenze tra le code classiche e le code quorum?",
        "Qual è il limite predefinito di una coda?",
        "Come funziona il bilanciamento del carico?",
        "Qual é o limite padrão de uma fila?",
        "Quais são as diferenças entre as filas?",
        "Wat is de standaardlimiet van een wachtrij?",
        "Hoe werkt het verschil tussen de twee wachtrijen?",
        "Vad är standardgränsen för en kö?",
        "Hvad er standardgrænsen for en kø?",
        "Jaki jest domyślny limit kolejki?",
        "Jaký je výchozí limit fronty?",
        "Kuyruğun varsayılan sınırı nedir?",
        "Каков предел очереди по умолчанию?",
        "队列的默认限制是多少？",
        "キューの既定の上限は何ですか",
        "ما هو الحد الافتراضي؟",
        "Ποιο είναι το προεπιλεγμένο όριο;",
    ],
)
def test_another_language_is_known_as_one_that_is_not_known(question: str) -> None:
    assert is_foreign(question)
    assert labels_for(question) is LABELS["en"]


@pytest.mark.parametrize(
    "question",
    [
        "RabbitMQ delivery limit default",
        "What is a queue?",
        "Default of max_heat?",
        "Is --verbose on by default?",
        "Compare Zürich and São Paulo.",
        "Was macht die Option -o?",
        "Wie viele Knoten braucht eine Quorum-Queue?",
        "Welche Optionen gehören in /etc/fstab, um Quota zu aktivieren?",
        "Combien de nœuds faut-il ?",
        "Quelle est la limite par défaut d'une file ?",
        "Comment un utilisateur peut-il modifier sa crontab ?",
        "¿Cómo puede un usuario editar su crontab?",
        "¿Cuál es el límite por defecto de una cola?",
        "",
    ],
)
def test_a_known_language_is_not_taken_for_a_relative(question: str) -> None:
    assert not is_foreign(question)


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
