"""What is refused for its deadline cannot be in time, however lucky it is."""

import heapq
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.inference.deadlines import Chance, Queue, fastest_s, least_s, refusal, too_late
from services.inference.fair import Turns
from services.inference.rates import Speed
from services.inference.rows import Row

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SPEEDS = st.builds(
    Speed,
    first_s=st.floats(0, 5),
    tokens_per_s=st.floats(1, 100),
    share=st.floats(0.05, 1),
    load_s=st.floats(0, 20),
)
HOSTS = st.lists(st.tuples(st.integers(1, 3), SPEEDS, st.booleans()), min_size=1, max_size=4)
JOBS = st.lists(st.integers(1, 512), max_size=12)


def row(name: str, *, most: int | None = 100, left_s: float | None = None) -> Row:
    deadline = NOW + timedelta(seconds=left_s) if left_s is not None else None
    return Row(
        name, name, 3, "ollama/m", NOW + timedelta(microseconds=ord(name[0])), None, None, "internal", deadline, most
    )


def queue_of(chances: list[Chance], jobs: list[int]) -> Queue:
    queue = Queue()
    for most in jobs:
        queue = queue.behind(fastest_s(chances, most, loading=False))
    return queue


@given(hosts=HOSTS, jobs=JOBS, most=st.integers(1, 512))
def test_no_order_of_slots_is_earlier_than_the_bound(
    hosts: list[tuple[int, Speed, bool]], jobs: list[int], most: int
) -> None:
    """Each call as fast as its host was ever, taken by whichever slot is free first; the last one where it is best."""
    chances = [Chance(slots, speed, cold) for slots, speed, cold in hosts]
    bound = least_s(chances, most, queue=queue_of(chances, jobs))
    free = [(0.0, n) for n in range(sum(slots for slots, _, _ in hosts))]
    speeds = [speed for slots, speed, _ in hosts for _ in range(slots)]
    for tokens in jobs:
        at, n = heapq.heappop(free)
        heapq.heappush(free, (at + min(speed.seconds(tokens) for speed in speeds), n))
    starts = min(at for at, _ in free)
    ends = starts + min(speed.seconds(most, cold=cold) for _, speed, cold in hosts)
    assert bound <= ends + 1e-6


def test_a_host_of_unknown_speed_refuses_nothing() -> None:
    slow = Speed(first_s=10, tokens_per_s=1, share=1)
    assert least_s([], 100) == 0
    assert least_s([Chance(1, None)], 100) == 0
    assert least_s([Chance(1, slow), Chance(1, None)], 100, queue=Queue(900, 100)) == 0
    assert not too_late([row("a", left_s=1)], [Chance(1, None)], Turns(), engine="ollama/m", now=NOW)


def test_it_says_what_it_needs_and_what_is_left() -> None:
    why = refusal(40.2, 12.0, engine="ollama/m")
    assert why is not None
    assert why.startswith("ollama/m needs at least 40 s, 12 s are left")
    assert refusal(12.0, 12.0, engine="ollama/m") is None


def test_loading_counts_where_the_model_is_not_loaded() -> None:
    speed = Speed(first_s=1, tokens_per_s=10, share=1, load_s=30)
    assert least_s([Chance(1, speed)], 10) == 2
    assert least_s([Chance(1, speed, cold=True)], 10) == 32
    assert least_s([Chance(1, speed, cold=True), Chance(1, speed)], 10) == 2


def test_those_behind_too_many_others_are_late_and_make_room_for_those_after_them() -> None:
    chances = [Chance(1, Speed(first_s=0, tokens_per_s=10, share=1))]  # ten seconds each
    rows = [row("a"), row("b"), row("c", left_s=25), row("d", left_s=31), row("e", most=None, left_s=0.1)]
    late = too_late(rows, chances, Turns(), engine="ollama/m", now=NOW)
    assert late.keys() == {"c"}
    assert "needs at least 30 s, 25 s are left" in late["c"]
