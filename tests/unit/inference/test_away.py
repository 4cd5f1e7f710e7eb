"""Which hosts are waited for, and for how long."""

from datetime import timedelta

from services.inference.away import Away
from services.inference.generation import Choice, Host, Model

HERE = Host("http://one", (Model("stub"),))
GONE = Host("http://one", error="http://one refused")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_host_that_is_away_is_expected_as_it_was_for_as_long_as_may_be() -> None:
    clock = Clock()
    away = Away(timedelta(seconds=10), clock)
    away.seen([HERE])
    assert away.expected([HERE]) == ()
    away.seen([GONE])
    clock.now += 9
    away.seen([GONE])
    assert away.expected([GONE]) == (HERE,)
    assert away.since_s("http://one") == 9
    clock.now += 1
    assert away.expected([GONE]) == ()
    away.seen([HERE])
    assert away.since_s("http://one") == 0
    away.seen([GONE])
    assert away.expected([GONE]) == (HERE,), "each absence is counted anew"


def test_a_host_that_nobody_has_seen_is_expected_only_for_engines_of_the_ledger() -> None:
    away = Away(timedelta(seconds=10), clock := Clock(), known=frozenset({"ollama/stub:latest"}))
    away.seen([GONE])
    assert away.expected([GONE]) == ()
    assert away.was_known("ollama/stub", [GONE]) == Choice("ollama", "ollama/stub", "http://one", "stub")
    assert away.was_known("ollama/other", [GONE]) is None
    assert away.was_known("openai/stub", [GONE]) is None
    clock.now += 10
    assert away.was_known("ollama/stub", [GONE]) is None


def test_a_host_that_was_seen_without_the_model_is_not_expected_to_have_it() -> None:
    away = Away(known=frozenset({"ollama/stub"}))
    away.seen([Host("http://one")])
    away.seen([GONE])
    assert away.was_known("ollama/stub", [GONE]) is None
