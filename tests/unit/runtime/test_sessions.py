"""What is sent of a conversation that grows: by strategy, never more than fits, the question always."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.sessions import Session, Strategy, Summary, Turn, turn_key
from shared.errors import Rejected
from shared.runtime.sessions import SO_FAR, fitted, tokens_of

AT = datetime(2026, 1, 1, tzinfo=UTC)


def turns(count: int, *, characters: int = 30) -> list[Turn]:
    return [
        Turn(number=n, question=f"q{n}".ljust(characters, "."), answer=f"a{n}".ljust(characters, "."), at=AT)
        for n in range(1, count + 1)
    ]


def session(
    strategy: Strategy = "keep_system", *, system: str = "Be brief.", summary: Summary | None = None
) -> Session:
    return Session(session_id="s", system=system, strategy=strategy, context=1024, max_tokens=512, summary=summary)


def test_a_short_conversation_is_sent_whole() -> None:
    sent = fitted(session(), turns(2), "And now?")
    assert [m.role for m in sent.messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert (sent.dropped, sent.without_system) == (0, False)
    assert sent.messages[-1].content == "And now?"


def test_of_a_long_one_the_newest_turns_and_the_system_prompt() -> None:
    sent = fitted(session(), turns(40), "And now?")
    assert sent.messages[0].content == "Be brief."
    assert sent.messages[-2].content.startswith("a40")
    assert 0 < sent.dropped < 40
    assert sent.messages[1].content.startswith(f"q{sent.dropped + 1}.")


def test_a_window_lets_the_system_prompt_go_first() -> None:
    short, long = fitted(session("window"), turns(2), "?"), fitted(session("window"), turns(40), "?")
    assert (short.messages[0].role, short.without_system) == ("system", False)
    assert (long.messages[0].role, long.without_system) == ("user", True)


def test_a_summary_stands_for_the_turns_that_it_covers() -> None:
    sent = fitted(session(summary=Summary(upto=38, text="They talked.")), turns(40), "?")
    assert [m.content[:2] for m in sent.messages[2:]] == ["q3", "a3", "q4", "a4", "?"]
    assert sent.messages[1].content == SO_FAR + "They talked."
    assert sent.dropped == 0


@given(
    st.sampled_from(["keep_system", "window", "summarise"]),
    st.lists(st.integers(1, 900), max_size=30),
    st.integers(1, 1600),
    st.integers(0, 900),
)
def test_it_always_fits_or_says_that_it_cannot(strategy: Strategy, sizes: list[int], asked: int, system: int) -> None:
    said = [Turn(number=n, question="q" * size, answer="a" * size, at=AT) for n, size in enumerate(sizes, 1)]
    about = session(strategy, system="s" * system)
    if tokens_of("?" * asked, *(["s" * system] if system and strategy != "window" else [])) > 512:
        with pytest.raises(Rejected):
            fitted(about, said, "?" * asked)
        return
    sent = fitted(about, said, "?" * asked)
    assert tokens_of(*(m.content for m in sent.messages)) <= 512
    assert sent.messages[-1].content == "?" * asked
    pairs = [m.role for m in sent.messages if m.role != "system"]
    assert pairs == ["user", "assistant"] * (len(said) - sent.dropped) + ["user"]


def test_a_question_that_cannot_fit_is_refused_and_says_how_long_it_may_be() -> None:
    with pytest.raises(Rejected, match=r"2,000 characters.*about 1,512") as refused:
        fitted(session(), [], "?" * 2000)
    assert refused.value.field == "question"


def test_the_same_question_at_the_same_place_is_the_same_call() -> None:
    assert turn_key("s", 3, "Why?") == turn_key("s", 3, "Why?")
    different = {turn_key("s", 3, "Why?"), turn_key("s", 4, "Why?"), turn_key("s", 3, "How?"), turn_key("t", 3, "Why?")}
    assert len({*different, turn_key("s", 3, "Why?", part=1)}) == 5
