"""What a stream shows of an answer that is being written."""

from hypothesis import given
from hypothesis import strategies as st

from services.inference.generation import without_thinking
from services.inference.written import Part, Written, visible
from shared.contracts.stream import PIECE_CHARACTERS

TOKENS = st.lists(
    st.sampled_from(["<think>", "</think>", "<th", "ink>", " ", "\n", "so ", "ä", "queues ", "<"]), max_size=30
)


def put_together(parts: list[Part]) -> tuple[int, str]:
    """By a reader who drops what is void."""
    revision, text = 0, ""
    for part in parts:
        if part.revision > revision:
            revision, text = part.revision, ""
        assert part.revision == revision
        assert part.offset == len(text)
        text += part.text
    return revision, text


@given(TOKENS, st.sets(st.integers(0, 30)))
def test_its_pieces_make_up_the_answer_whenever_one_looks(tokens: list[str], looks: set[int]) -> None:
    written, parts = Written(), list[Part]()
    for n, token in enumerate(tokens):
        written.add(token)
        if n in looks:
            written.look()
            parts += written.parts()
    answer = without_thinking("".join(tokens))
    written.end(answer)
    parts += written.parts()
    assert put_together(parts)[1] == answer
    assert written.since(-1, 0).text == answer


@given(TOKENS, st.integers(0, 40))
def test_who_has_the_beginning_gets_the_rest(tokens: list[str], after: int) -> None:
    written = Written()
    for token in tokens:
        written.add(token)
    written.look()
    part = written.since(written.revision, after)
    assert (written.shown[: part.offset] + part.text) == written.shown
    assert part.offset == (after if after <= len(written.shown) else 0)


def test_reasoning_is_not_shown() -> None:
    assert visible("\n<thi") == ""
    assert visible("<think>I should say") == ""
    assert visible("<think>I should say 4.</THINK>\n\nFour") == "Four"
    assert visible("2 < 3") == "2 < 3"


def test_reasoning_that_leaked_is_taken_back() -> None:
    written = Written()
    written.add("I should say 4.")
    written.look()
    assert written.parts() == [Part(0, 0, "I should say 4.")]
    written.add("</think> Four")
    written.look()
    assert written.parts() == [Part(1, 0, "Four")]
    assert written.since(0, 15) == Part(1, 0, "Four")


def test_a_piece_has_a_bounded_size() -> None:
    written = Written()
    written.add("x" * (2 * PIECE_CHARACTERS + 1))
    written.look()
    assert [(p.offset, len(p.text)) for p in written.parts()] == [(0, 4000), (4000, 4000), (8000, 1)]
    assert written.parts() == []
