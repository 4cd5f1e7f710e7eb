"""The built-in engine: verbatim sentences that answer, and nothing when nothing does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inference.extractive import answer
from shared.contracts.citing import cited_sentences
from shared.contracts.evidence import best_quote
from shared.contracts.generation import InputPassage, Inputs

QUEUES = InputPassage(
    id="p1",
    title="Queues",
    text=(
        "# Quorum and classic queues\n\n"
        "A quorum queue replicates its messages to several nodes, whereas a classic queue keeps one copy. "
        "Quorum queues were introduced in RabbitMQ 3.8. What else is there to say? "
        "However, they need three nodes to survive the loss of one. "
        "Copyright 2024 the queue authors, all rights reserved by them.\n\n"
        "| Setting | Default | Meaning |\n|---|---|---|\n"
        "| delivery limit | 20 | deliveries before a message is dropped |\n\n"
        "```\nchannel.queue_declare(queue, durable=True)\n```\n"
    ),
)
RETRIES = InputPassage(
    id="p2",
    title="Retries",
    text=(
        "Retries give a failed message another chance [12]. A message is retried five times before it is parked. "
        "Messages are parked because a poison message would otherwise block the queue. "
        "A backoff is the waiting time between two attempts. As Fig. 3 shows, backoff grows with every attempt made."
    ),
)


def ask(question: str, *passages: InputPassage, limit: int = 4) -> list[str]:
    return answer(Inputs(question=question, passages=passages or (QUEUES, RETRIES), limit=limit)).splitlines()


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("How do quorum queues and classic queues differ?", "A quorum queue replicates its messages"),
        ("How many times is a message retried?", "A message is retried five times"),
        ("When were quorum queues introduced?", "Quorum queues were introduced"),
        ("Why are messages parked?", "Messages are parked because"),
        ("What is a backoff?", "A backoff is the waiting time"),
        ("What is the default of the delivery limit?", "delivery limit - Default: 20;"),
    ],
)
def test_the_answer_comes_first(question: str, first: str) -> None:
    assert ask(question)[0].startswith(first)


@pytest.mark.parametrize("question", ["Who painted the Mona Lisa?", "What does a licence for Oracle cost?", "the of"])
def test_nothing_is_said_when_nothing_answers(question: str) -> None:
    assert ask(question) == []


def test_each_sentence_is_verbatim_and_names_its_passage() -> None:
    for line in ask("quorum queue nodes message retried backoff", limit=20):
        text, _, passage = line.rpartition(" [")
        source = {"p1": QUEUES, "p2": RETRIES}[passage.rstrip("]")].text.replace(" [12]", "")
        assert text in source


def test_what_is_no_statement_is_never_quoted() -> None:
    said = "\n".join(ask("queue quorum fig copyright backoff declare queues say authors", limit=20))
    for banned in ("What else", "Copyright", "As Fig. 3", "queue_declare", "# Quorum", "[12]"):
        assert banned not in said


def test_a_sentence_that_leans_brings_the_one_before_it_or_stays_away() -> None:
    text = "Every member of the queue keeps a copy. However, three nodes survive the loss of one."
    lines = ask("How many nodes survive the loss of one?", InputPassage(id="p1", text=text))
    assert [line.split()[0] for line in lines] == ["Every", "However,"]
    assert not any(line.startswith("However") for line in ask("How many nodes survive the loss of one?", QUEUES))


def test_the_same_said_twice_is_quoted_once_but_a_contradiction_twice() -> None:
    one = InputPassage(id="a", text="The lease of a step lasts thirty seconds by default in every mesh.")
    same = InputPassage(id="b", text="By default the lease of a step lasts thirty seconds in every mesh.")
    other = InputPassage(id="c", text="The lease of a step lasts ninety seconds, or 90 s, by default in every mesh.")
    assert len(ask("How long does the lease of a step last?", one, same)) == 1
    assert len(ask("How long does the lease of a step last?", one, same, other)) == 2


def test_the_limit_is_kept() -> None:
    assert len(ask("quorum queue message retried backoff nodes", limit=2)) <= 2


def test_its_own_citations_are_read_back_and_hold() -> None:
    for question in ("How do quorum queues differ?", "Why are messages parked?", "What is the delivery limit?"):
        text = "\n".join(ask(question))
        for sentence in cited_sentences(text, ["p1", "p2"]):
            (passage,) = sentence.ids
            assert best_quote(sentence.text, {"p1": QUEUES, "p2": RETRIES}[passage].text) is not None


@given(st.text(max_size=60), st.lists(st.text(max_size=200), max_size=4))
def test_any_text_is_survived_and_the_same_inputs_give_the_same_text(question: str, texts: list[str]) -> None:
    passages = tuple(InputPassage(id=f"p{n}", text=text) for n, text in enumerate(texts))
    inputs = Inputs(question=question, passages=passages)
    assert answer(inputs) == answer(inputs)


def test_what_two_sources_say_is_said_once_and_cites_both() -> None:
    inputs = Inputs(
        question="How many nodes does a quorum queue need?",
        passages=(
            InputPassage(id="p1", text="A quorum queue needs at least three nodes.", position=0),
            InputPassage(id="p2", text="Every quorum queue needs at least three nodes.", position=1),
            InputPassage(id="p3", text="A quorum queue needs at least five nodes.", position=2),
        ),
    )
    lines = answer(inputs).splitlines()
    assert lines[0] == "A quorum queue needs at least three nodes. [p1][p2]"
    assert lines[1].endswith("five nodes. [p3]"), "another number is no repetition"


MEANING = InputPassage(
    id="p3",
    title="Leaks",
    text=(
        "Use --no-doubtful if these are not to be shown in a report. A summary names blocks that are doubtful leaks "
        'and others that are lost for good. "Doubtful leak" means that some pointer leads into the middle of the block.'
    ),
)
LIMITS = InputPassage(
    id="p4",
    title="Limits",
    text=(
        "The greatest number of bytes in a basket is defined by the macro MAX_BASKET. The default value of this macro "
        "is 4 million. Baskets are used by many programs in many ways.\n\n"
        "max_heat\n\nWhere the oven stops by itself, whatever is in it at that time.\n\nDefault: 85 degrees\n"
    ),
)


def test_what_says_what_something_means_is_said_before_what_only_uses_it() -> None:
    assert ask('What does "doubtful leak" mean in a report?', MEANING)[0].startswith('"Doubtful leak" means')


def test_a_sentence_about_this_one_comes_with_the_one_before_it() -> None:
    said = ask("How large can a basket be by default?", LIMITS)
    assert [line.split(" [")[0] for line in said[:2]] == [
        "The greatest number of bytes in a basket is defined by the macro MAX_BASKET.",
        "The default value of this macro is 4 million.",
    ]


def test_a_value_is_said_of_the_term_above_it() -> None:
    assert ask("What is the default of max_heat?", LIMITS)[0] == "max_heat - Default: 85 degrees [p4]"
