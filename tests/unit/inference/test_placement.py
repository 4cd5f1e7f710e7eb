"""A call is made where it is done first, be it later."""

from hypothesis import given
from hypothesis import strategies as st

from services.inference.placement import Job, Option, left_s, place
from services.inference.rates import Speed

FAST, SLOW = Speed(0.0, 40.0, 1.0), Speed(0.0, 10.0, 1.0)


def job(name: str, *options: Option, most: int = 40, model: str = "m") -> Job:
    return Job(name, model, most, options)


def jobs(number: int, *options: Option) -> list[Job]:
    return [job(f"j{n:02d}", *options) for n in range(number)]


def test_a_slow_host_is_left_alone_while_waiting_for_the_fast_one_is_sooner() -> None:
    both = (Option("slow", SLOW), Option("fast", FAST))  # four seconds, and one
    assert place(jobs(3, *both), {"fast": [0.0], "slow": [0.0]}) == {"j00": "fast"}
    assert place(jobs(5, *both), {"fast": [0.0], "slow": [0.0]}) == {"j00": "fast", "j03": "slow"}
    assert place(jobs(1, *both), {"fast": [2.0], "slow": [0.0]}) == {}
    assert place(jobs(1, *both), {"fast": [3.5], "slow": [0.0]}) == {"j00": "slow"}


def test_a_cold_host_is_used_when_it_wins_and_loads_once() -> None:
    loads = Speed(0.0, 40.0, 1.0, load_s=5.0)
    both = (Option("cold", loads, cold=True), Option("warm", FAST))
    assert place(jobs(4, *both), {"warm": [0.0], "cold": [0.0]}) == {"j00": "warm"}
    placed = place(jobs(9, *both), {"warm": [0.0], "cold": [0.0]})
    assert set(placed.values()) == {"warm", "cold"}
    two = place(jobs(20, *both), {"warm": [0.0], "cold": [0.0, 0.0]})
    assert sorted(two.values()) == ["cold", "cold", "warm"], "who comes second finds it loaded"


def test_affinity_follows_from_it() -> None:
    cold, warm = Option("a", Speed(0.0, 40.0, 1.0, load_s=5.0), cold=True), Option("b", FAST)
    assert place([job("j", cold, warm)], {"a": [0.0], "b": [0.0]}) == {"j": "b"}


def test_with_unknown_speeds_the_least_busy_one_is_taken_and_the_loaded_one_of_equals() -> None:
    unknown = (Option("a", None, cold=True), Option("b"), Option("c", FAST))
    assert place([job("j", *unknown)], {"a": [0.0, 9.0], "b": [0.0, 9.0], "c": [0.0, 0.0]}) == {"j": "c"}
    assert place([job("j", *unknown)], {"a": [0.0, 0.0], "b": [0.0, 0.0], "c": [1.0]}) == {"j": "b"}
    assert place([job("j", *unknown)], {"a": [1.0], "b": [1.0], "c": [1.0]}) == {}
    assert place(jobs(3, Option("a"), Option("b")), {"a": [0.0], "b": [0.0]}) == {"j00": "a", "j01": "b"}


def test_an_only_host_of_unknown_speed_is_used() -> None:
    assert place(jobs(3, Option("a")), {"a": [0.0, 0.0]}) == {"j00": "a", "j01": "a"}
    assert place(jobs(3, Option("gone")), {}) == {}


def test_a_call_that_hangs_is_not_waited_for() -> None:
    assert left_s(FAST, 40, elapsed_s=0.25, written=0) == 0.75
    assert left_s(FAST, 40, elapsed_s=0.5, written=30) == 0.25
    assert left_s(FAST, 40, elapsed_s=61.0, written=0) == 60.0, "it takes as long again as it is late"


SPEEDS = st.one_of(st.none(), st.builds(Speed, st.floats(0, 3), st.floats(1, 99), st.floats(0.1, 1), st.floats(0, 9)))


@given(
    hosts=st.lists(st.tuples(st.lists(st.floats(0, 9), max_size=3), SPEEDS, st.booleans()), min_size=1, max_size=4),
    wanted=st.lists(st.tuples(st.integers(1, 400), st.sets(st.integers(0, 3))), max_size=12),
)
def test_never_more_than_free_slots_and_never_idle_without_a_choice(
    hosts: list[tuple[list[float], Speed | None, bool]], wanted: list[tuple[int, set[int]]]
) -> None:
    options = [Option(f"h{n}", speed, cold) for n, (_, speed, cold) in enumerate(hosts)]
    slots = {f"h{n}": free for n, (free, _, _) in enumerate(hosts)}
    given_jobs = [
        job(f"j{n}", *(options[at] for at in sorted(at) if at < len(options)), most=most)
        for n, (most, at) in enumerate(wanted)
    ]
    placed = place(given_jobs, slots)
    by_id = {each.id: each for each in given_jobs}
    for url, free in slots.items():
        assert sum(at == url for at in placed.values()) <= sum(seconds <= 0 for seconds in free)
    for call, url in placed.items():
        assert url in {option.url for option in by_id[call].options}
    for n, each in enumerate(given_jobs):
        if n == 0 and each.options and all(seconds <= 0 for option in each.options for seconds in slots[option.url]):
            assert each.id in placed or not any(slots[option.url] for option in each.options)
