"""When a host that failed is left alone, and when it is tried again."""

from hypothesis import given
from hypothesis import strategies as st

from services.inference.breaker import FIRST_S, LONGEST_S, Breaker, Breakers, after_failure

HOST = "http://host"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_it_is_left_alone_then_tried_with_one_call_then_as_before() -> None:
    clock = Clock()
    hosts = Breakers(clock)
    hosts.bad(HOST)
    hosts.seen({HOST})  # it answers probes all the while
    assert hosts.shunned(busy={}) == {HOST}
    clock.now += FIRST_S
    assert hosts.shunned(busy={}) == {HOST}  # not seen since
    hosts.seen({HOST})
    assert hosts.shunned(busy={}) == set()
    assert hosts.tries(HOST)
    assert hosts.shunned(busy={HOST: 1}) == {HOST}
    hosts.good(HOST)
    assert hosts.shunned(busy={HOST: 1}) == set()
    assert not hosts.tries(HOST)


def test_a_probe_without_an_answer_opens_nothing() -> None:
    clock = Clock()
    hosts = Breakers(clock)
    hosts.bad(HOST)
    clock.now += LONGEST_S
    hosts.seen({"http://another"})
    assert hosts.shunned(busy={}) == {HOST}


def test_each_failure_doubles_the_wait_up_to_a_minute() -> None:
    breaker, now, waits = None, 0.0, []
    for _ in range(6):
        breaker = after_failure(breaker, now=now)
        waits.append(breaker.until - now)
        now = breaker.until
    assert waits == [5, 10, 20, 40, 60, 60]


def test_calls_that_fail_together_are_one_failure() -> None:
    first = after_failure(None, now=0.0)
    assert after_failure(first, now=1.0) == first


@given(st.lists(st.floats(0, 200), max_size=20))
def test_a_wait_is_never_shorter_or_longer_than_promised(gaps: list[float]) -> None:
    now, breaker = 0.0, None
    for gap in gaps:
        now += gap
        breaker = after_failure(breaker, now=now)
        assert isinstance(breaker, Breaker)
        assert FIRST_S <= breaker.wait_s <= LONGEST_S
        assert breaker.until - now <= LONGEST_S + 1e-6
