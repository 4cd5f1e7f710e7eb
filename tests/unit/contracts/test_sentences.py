"""Sentences as spans of a text, and its content words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.sentences import content_words, sentences


def texts(text: str) -> list[str]:
    return [unit.text for unit in sentences(text)]


@pytest.mark.parametrize(
    "whole",
    [
        "Smith et al. (2020) show that, e.g., 3.5 % of v1.2.3 fails.",
        "See Fig. 3 and Sec. 2.1 for the proof.",
        "J. R. Smith and A. Jones agreed.",
        "It is faster, i.e. it needs 2.5 s vs. 3 s.",
        "Das ist z. B. am 3. März gut.",
        "Dr. Who met Mrs. Smith at approx. 5 p.m. today.",
        "The default is no. 5 of the list.",
        "Use basic.nack or x.y.z instead.",
        "It failed again ... and then it worked.",
    ],
)
def test_no_split_at_what_is_no_end(whole: str) -> None:
    assert texts(whole) == [whole]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One is here. Two is there! Is three? Yes.", ["One is here.", "Two is there!", "Is three?", "Yes."]),
        ("It was so [12]. The next one.", ["It was so [12].", "The next one."]),
        ("It was so.[12] The next one.", ["It was so.[12]", "The next one."]),
        ("Take plan B. The rest follows.", ["Take plan B.", "The rest follows."]),
        ("They have queues etc. The end.", ["They have queues etc.", "The end."]),
        ('He said "stop." Then it stopped.', ['He said "stop."', "Then it stopped."]),
        ("It ends here. basic.nack begins here.", ["It ends here.", "basic.nack begins here."]),
        ("A wrapped\nline ends. B", ["A wrapped\nline ends.", "B"]),
        ("One paragraph\n\nAnother one", ["One paragraph", "Another one"]),
    ],
)
def test_splits(text: str, parts: list[str]) -> None:
    assert texts(text) == parts


def test_what_is_no_prose_is_told_apart() -> None:
    text = (
        "# Head\nA sentence.\n- an item\n- A full one. And more.\n| a | b |\n|---|---|\n| 1 | 2 |\n```\nx = 1.\n```\n"
    )
    kinds = [(unit.kind, unit.text) for unit in sentences(text)]
    assert kinds == [
        ("heading", "Head"),
        ("sentence", "A sentence."),
        ("item", "an item"),
        ("sentence", "A full one."),
        ("sentence", "And more."),
        ("row", "| a | b |"),
        ("row", "| 1 | 2 |"),
        ("code", "x = 1."),
    ]


@given(st.text(alphabet=st.sampled_from("ab. \n!?#|-*\t`1AZ\u2028\u0085é["), max_size=200))
def test_each_unit_is_a_span_of_the_text_in_order(text: str) -> None:
    end = 0
    for unit in sentences(text):
        assert unit.text == text[unit.start : unit.end]
        assert unit.text == unit.text.strip() != ""
        assert unit.start >= end
        end = unit.end


def test_content_words_are_stemmed_and_numbers_keep_their_unit() -> None:
    assert content_words("The stores stored it; storing takes 10 ms or ten milliseconds.") == (
        "stor", "stor", "stor", "tak", "10ms", "10ms",
    )  # fmt: skip
    assert content_words("1,000 dollars, 2.50 GB, 5 %, a 30-second wait, 3 million") == (
        "1000$", "2.5gb", "5%", "30s", "wait", "3000000",
    )  # fmt: skip
    assert content_words("Der Broker und die Warteschlange") == ("broker", "warteschlang")
    assert content_words("the of and") == ()
