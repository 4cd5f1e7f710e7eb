"""Whose call runs next: priority, age, and goals that take turns."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.inference.fair import Waiting, next_to_run

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def waiting(name: str, *, goal: str = "g", priority: int = 3, age_s: float = 0.0, lane: str = "a") -> Waiting:
    return Waiting(name, goal, priority, NOW - timedelta(seconds=age_s), lane)


def test_priority_then_age_and_no_lane_blocks_another() -> None:
    calls = [
        waiting("old", goal="1", age_s=10),
        waiting("urgent", goal="2", priority=5),
        waiting("new", goal="3"),
        waiting("other", goal="4", lane="b"),
    ]
    names = [call.id for call in next_to_run(calls, free={"a": 2, "b": 1}, now=NOW)]
    assert names == ["urgent", "old", "other"]


def test_a_call_that_waits_long_overtakes_a_more_urgent_one() -> None:
    calls = [waiting("urgent", priority=5), waiting("patient", age_s=120)]
    assert [c.id for c in next_to_run(calls, free={"a": 1}, now=NOW)] == ["patient"]


def test_goals_take_turns_however_many_calls_one_has() -> None:
    large = [waiting(f"large {n}", goal="large", age_s=900 - n) for n in range(100)]
    small = [waiting(f"small {n}", goal="small", age_s=2 - n) for n in range(2)]
    chosen = next_to_run([*large, *small], free={"a": 4}, now=NOW)
    assert [c.id for c in chosen] == ["large 0", "small 0", "large 1", "large 2"]
    after = next_to_run([*large, *small], free={"a": 1}, now=NOW, started={"large": NOW})
    assert [c.id for c in after] == ["small 0"]


def test_a_large_goal_comes_to_its_turn_too() -> None:
    calls = [waiting("large", goal="large", age_s=50), waiting("small", goal="small", age_s=1)]
    started = {"large": NOW - timedelta(seconds=5)}
    assert [c.id for c in next_to_run(calls, free={"a": 1}, now=NOW, started=started)] == ["large"]


def test_every_goal_is_served_within_one_round_of_one_slot() -> None:
    """As calls come to their end one after another, a second each."""
    left = [waiting(f"{goal}{n}", goal=goal, age_s=600) for goal in "abc" for n in range(9)]
    served, started = [], dict[str, datetime]()
    for second in range(9):
        now = NOW + timedelta(seconds=second)
        (call,) = next_to_run(left, free={"a": 1}, now=now, started=started)
        left.remove(call)
        started[call.goal_id] = now
        served.append(call.goal_id)
    assert all(set(served[n : n + 3]) == set("abc") for n in (0, 3, 6))


calls_of_goals = st.lists(
    st.tuples(st.sampled_from("xyz"), st.integers(0, 9), st.floats(0, 1e4), st.sampled_from("ab")), max_size=30
)


@given(calls_of_goals, st.integers(0, 3))
def test_never_more_than_the_free_slots_and_never_fewer(raw: list[tuple[str, int, float, str]], free: int) -> None:
    calls = [waiting(str(n), goal=g, priority=p, age_s=a, lane=lane) for n, (g, p, a, lane) in enumerate(raw)]
    chosen = next_to_run(calls, free={"a": free}, now=NOW)
    assert len(chosen) == min(free, sum(c.lane == "a" for c in calls))
    assert len({call.id for call in chosen}) == len(chosen)
    assert all(call.lane == "a" for call in chosen)
