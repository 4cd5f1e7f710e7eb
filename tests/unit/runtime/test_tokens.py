"""Pieces of an answer put together: any cut, any loss, any duplicate, any order gives the same text."""

import itertools
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.generation import CallKey, Generated
from shared.contracts.stream import TokensWritten
from shared.runtime.tokens import Ended, Restarted, Text, TokenPiece, TokenText

KEY = CallKey(goal_id="g1", step="s1", purpose="chat")
TEXTS = st.text(st.sampled_from("abä€\n𝄞 "), max_size=40)


def written(text: str, *, offset: int = 0, attempt: int = 1, revision: int = 0) -> TokensWritten:
    return TokensWritten(goal_id="g1", call=KEY, attempt=attempt, revision=revision, offset=offset, text=text)


def generated(text: str, **changes: str) -> Generated:
    return Generated.model_validate({"call": KEY, "finish": "stop", "text": text, "engine": "stub", **changes})


def seen(pieces: list[TokenPiece]) -> str:
    """What somebody has on the screen who only follows what is said."""
    text = ""
    for piece in pieces:
        text = "" if isinstance(piece, Restarted) else text + (piece.text if isinstance(piece, Text) else "")
    return text


@dataclass(frozen=True)
class Stream:
    """`texts`: of each attempt and revision, the last being the answer. `arrives`: pieces of them, some lost, some
    doubled, in any order."""

    texts: dict[tuple[int, int], str]
    arrives: list[TokensWritten]

    @property
    def answer(self) -> str:
        return self.texts[max(self.texts)]

    def rest(self, have: TokenText) -> TokensWritten:
        """What inference answers to the question for what is missing."""
        at = (have.attempt, have.revision)
        text, offset = self.texts[at], len(have.text)
        return written(text[offset:], offset=offset, attempt=at[0], revision=at[1])


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    ranks = draw(st.sets(st.tuples(st.integers(1, 3), st.integers(0, 2)), min_size=1, max_size=3))
    texts = {rank: draw(TEXTS) for rank in sorted(ranks)}
    published = []
    for (attempt, revision), text in texts.items():
        cuts = sorted({0, len(text), *draw(st.sets(st.integers(0, len(text)), max_size=5))})
        published += [
            written(text[a:b], offset=a, attempt=attempt, revision=revision) for a, b in itertools.pairwise(cuts)
        ]
    return Stream(texts, draw(st.lists(st.sampled_from(published), max_size=12)) if published else [])


@given(streams(), st.booleans())
def test_the_text_is_the_answer_whatever_happened_on_the_way(stream: Stream, asks: bool) -> None:
    text, pieces = TokenText(), list[TokenPiece]()
    for piece in stream.arrives:
        pieces += text.add(piece)
        if asks and text.missing:
            pieces += text.add(stream.rest(text))
            assert not text.missing
            assert text.text == stream.texts[text.attempt, text.revision]
        assert seen(pieces) == text.text
    pieces += text.end(generated(stream.answer))
    assert seen(pieces) == stream.answer
    assert pieces[-1] == Ended(generated(stream.answer))


def test_a_gap_is_seen_and_what_comes_twice_is_not_shown_twice() -> None:
    text = TokenText()
    assert text.add(written("Queues ")) == [Text("Queues ")]
    assert text.add(written("messages", offset=12)) == []
    assert text.missing
    assert text.add(written("Queues hold messages")) == [Text("hold messages")]
    assert not text.missing
    assert text.add(written("hold ", offset=7)) == []


def test_another_attempt_begins_anew_and_the_old_one_is_not_heard_any_more() -> None:
    text = TokenText()
    text.add(written("Queues ho"))
    assert text.add(written("Queues", attempt=2)) == [Restarted(2), Text("Queues")]
    assert text.add(written("ld", offset=9)) == []
    assert text.text == "Queues"


def test_nothing_is_restarted_that_nobody_has_seen() -> None:
    assert TokenText().add(written("Queues", attempt=2)) == [Text("Queues")]


def test_a_failed_call_takes_nothing_back() -> None:
    text = TokenText()
    text.add(written("Queues"))
    failed = generated("", finish="failed", error="out of memory")
    assert text.end(failed) == [Ended(failed)]
