"""What a source denies, its report must not affirm."""

import pytest

from shared.contracts.doubt import is_doubted, says_so, taken_back, takes_back
from shared.contracts.evidence import best_quote, supports

DENIED = [
    "It is a myth that the pump runs without oil.",
    "A common misconception is that the pump runs without oil.",
    "The brochure wrongly says the pump runs without oil.",
    "Some dealers claimed that the pump runs without oil.",
    "The pump is rumoured to run without oil.",
    "It is not true that the pump runs without oil.",
    "The pump runs without oil. This is wrong.",
    "The pump runs without oil. That claim was withdrawn in 2019.",
    "If it stands still, the pump runs without oil.",
    "The pump runs without oil if it stands still.",
]


@pytest.mark.parametrize("quote", DENIED)
def test_what_a_quote_denies_or_limits_does_not_support_the_bare_claim(quote: str) -> None:
    assert not supports("The pump runs without oil.", [quote]).holds


def test_the_denial_itself_may_be_said() -> None:
    assert supports("It is a myth that the pump runs without oil.", [DENIED[0]]).holds
    assert supports("Some dealers claimed that the pump runs without oil.", [DENIED[3]]).holds
    assert supports("If it stands still, the pump runs without oil.", [DENIED[8]]).holds


def test_a_quote_that_the_next_sentence_takes_back_is_not_found() -> None:
    assert best_quote("The pump runs without oil.", "The pump runs without oil. But this is not true.") is None
    assert best_quote("The pump runs without oil.", "The pump runs without oil. This saves money.") == (0, 26)


@pytest.mark.parametrize(
    "sentence",
    ["That is wrong.", "But this is a myth.", "This statement of an early brochure is not true.",
     "It was later refuted.", "These figures are outdated.", "Das ist falsch.",
     "However, that turned out to be a mistake."],
)  # fmt: skip
def test_a_sentence_takes_back_what_was_said_before(sentence: str) -> None:
    assert takes_back(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "This is right.",
        "It is used when the value is false.",
        "The wrong order is refused.",
        "A false alarm is logged.",
    ],
)
def test_a_sentence_that_goes_on_takes_nothing_back(sentence: str) -> None:
    assert not takes_back(sentence)


def test_headings_that_announce_what_is_not_so() -> None:
    assert is_doubted("Common misconceptions")
    assert is_doubted("Myths about queues")
    assert is_doubted("False claims")
    assert not is_doubted("False positives of the filter")
    assert not is_doubted("Deprecated settings")
    assert not is_doubted(None)
    assert says_so("In fact the pump needs oil.")
    assert taken_back(["A is B.", "That is wrong.", "C is D."]) == [True, False, False]
