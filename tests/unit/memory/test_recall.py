"""What a search looks for, and what may be recalled."""

from hypothesis import given
from hypothesis import strategies as st

from services.memory.recall import match_expression, related, terms, within


def test_stop_words_are_dropped_and_compounds_stand_beside_their_parts() -> None:
    assert terms("What is the x-max-length of a dead-letter queue?") == (
        "x max length", "max", "length", "dead letter", "dead", "letter", "queue",
    )  # fmt: skip


def test_a_query_of_stop_words_alone_is_taken_as_it_is() -> None:
    assert terms("what is it") == ("what", "is", "it")
    assert match_expression("?! ...") == ""


@given(st.text(max_size=300))
def test_no_query_is_a_syntax_error(query: str) -> None:
    expression = match_expression(query)
    assert expression.count('"') % 2 == 0
    assert "*" not in expression.replace('"', "")


def test_recall_needs_two_common_words() -> None:
    assert related("How long do leases last?", "A lease lasts ten seconds, as long as it is renewed.")
    assert not related("How long do leases last?", "Queues are long.")


def test_recall_never_leaves_the_corpora_of_the_goal() -> None:
    assert within(["a"], ["a", "b"])
    assert not within(["a", "b"], ["a"])
    assert not within(["a"], [])
    assert within([], [])
