"""Reading what models cite."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.citing import cited_sentences

KNOWN = ["1", "2", "3", "p1", "e0123456789ab"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A is b [1] [2].", [("A is b.", ["1", "2"])]),
        ("A is b [1, 2]. C is d.[3]", [("A is b.", ["1", "2"]), ("C is d.", ["3"])]),
        ("A is b. [1] C is d. [2][3]", [("A is b.", ["1"]), ("C is d.", ["2", "3"])]),
        ("A is b.[1]C is d [2].", [("A is b.", ["1"]), ("C is d.", ["2"])]),
        ("A is b (1). C (in 2020) is d [2].", [("A is b.", ["1"]), ("C (in 2020) is d.", ["2"])]),
        ("[1] A is b. [2] C is d.", [("A is b.", ["1"]), ("C is d.", ["2"])]),
        ("[1]: A is b", [("A is b", ["1"])]),
        ("1. A is **b** [1-3].\n2. C is d [^2].", [("A is b.", ["1", "2", "3"]), ("C is d.", ["2"])]),
        ("- A is b [source 1]\n* C is d [Passage 2 and 3].", [("A is b", ["1"]), ("C is d.", ["2", "3"])]),
        ("A is b [id: 1]. C is d 【2】.", [("A is b.", ["1"]), ("C is d.", ["2"])]),
        ("A is b [E0123456789AB] [p1].", [("A is b.", ["e0123456789ab", "p1"])]),
        ("```\n# Title\nA is b [1]\n```\nSources:\n[1] a.md", [("A is b", ["1"])]),
        ("A wrapped\nsentence [1].", [("A wrapped sentence.", ["1"])]),
        ("Items are in `x[1]` here [2].", [("Items are in `x[1]` here.", ["2"])]),
        ("See [the page](http://x) for a [1].", [("See [the page](http://x) for a.", ["1"])]),
        ("Nothing is cited.", [("Nothing is cited.", [])]),
        ("[1]", []),
        ("", []),
    ],
)
def test_each_way_to_cite(text: str, found: list[tuple[str, list[str]]]) -> None:
    assert [(each.text, list(each.ids)) for each in cited_sentences(text, KNOWN)] == found


def test_ids_that_were_made_up_are_kept_apart() -> None:
    (sentence,) = cited_sentences("A is b [1, 9] [p77] [e999999999999].", KNOWN)
    assert sentence.ids == ("1",)
    assert sentence.unknown == ("9", "p77", "e999999999999")


@given(st.text(alphabet=st.sampled_from("ab [](),.123p\n`*#-&:"), max_size=150))
def test_any_text_is_survived_and_no_id_is_invented(text: str) -> None:
    for sentence in cited_sentences(text, KNOWN):
        assert set(sentence.ids) <= set(KNOWN)
        assert not set(sentence.unknown) & set(KNOWN)
