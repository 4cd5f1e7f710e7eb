"""Speeds that are measured: of the last calls, loading apart."""

import pytest

from services.inference.rates import KEPT, SURE, Rates, Took


def took(*, tokens: int = 21, first_s: float = 1.0, rate: float = 10.0, most: int = 42) -> Took:
    return Took(tokens, most, first_s, first_s + (tokens - 1) / rate)


def test_nothing_is_known_of_a_host_before_its_first_call_nor_from_another_one() -> None:
    rates = Rates()
    rates.note("http://one", "m", took())
    assert rates.typical("http://two", "m") is None
    assert rates.typical("http://one", "n") is None
    speed = rates.typical("http://one", "m")
    assert speed is not None
    assert (speed.first_s, speed.tokens_per_s, speed.share) == (1.0, pytest.approx(10.0), 0.5)
    assert speed.seconds(100) == pytest.approx(1 + 50 / 10)
    assert speed.seconds(100, written=40) == pytest.approx(1.0)


def test_the_best_is_believed_after_some_calls_and_forgotten_after_many() -> None:
    rates = Rates()
    rates.note("http://one", "m", took(first_s=0.1, rate=100))
    for _ in range(SURE - 2):
        rates.note("http://one", "m", took())
    assert rates.best("http://one", "m") is None
    rates.note("http://one", "m", took())
    best = rates.best("http://one", "m")
    assert best is not None
    assert (best.first_s, best.tokens_per_s) == (0.1, pytest.approx(100))
    for _ in range(KEPT):
        rates.note("http://one", "m", took())
    slower = rates.best("http://one", "m")
    assert slower is not None
    assert slower.tokens_per_s == pytest.approx(10)


def test_one_word_says_nothing_of_a_rate() -> None:
    rates = Rates()
    rates.note("http://one", "m", took(tokens=1))
    assert rates.typical("http://one", "m") is None


def test_loading_is_no_part_of_the_speed() -> None:
    rates = Rates()
    rates.note("http://one", "m", took())
    rates.note("http://one", "m", took(first_s=31.0), cold=True)
    speed = rates.typical("http://one", "m")
    assert speed is not None
    assert (speed.first_s, speed.load_s) == (1.0, 30.0)
    assert speed.seconds(42, cold=True) == pytest.approx(30 + 1 + 2.1)


def test_a_first_call_that_loaded_the_model_tells_the_rate_all_the_same() -> None:
    rates = Rates()
    rates.note("http://one", "m", took(first_s=31.0), cold=True)
    speed = rates.typical("http://one", "m")
    assert speed is not None
    assert (speed.load_s, speed.tokens_per_s) == (31.0, pytest.approx(10))
