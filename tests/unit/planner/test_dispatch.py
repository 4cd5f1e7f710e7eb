"""Which ready step goes next: priority with ageing, then fair share, then age."""

from datetime import UTC, datetime, timedelta

from services.planner.dispatch import AGEING_S, Ready, choose

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def ready(name: str, *, priority: int = 3, namespace: str = "n", waited_s: float = 0) -> Ready:
    return Ready((name,), namespace, priority, NOW - timedelta(seconds=waited_s))


def names(*waiting: Ready, free: int = 9, running: tuple[str, ...] = ()) -> list[str]:
    return [chosen.key[0] for chosen in choose(waiting, running=running, free=free, now=NOW)]


def test_an_ask_overtakes_a_batch() -> None:
    assert names(ready("batch"), ready("ask", priority=5), free=1) == ["ask"]


def test_nothing_starves() -> None:
    assert names(ready("old", waited_s=3 * AGEING_S), ready("ask", priority=5), free=1) == ["old"]


def test_a_namespace_with_less_running_goes_first() -> None:
    assert names(ready("a", namespace="busy", waited_s=5), ready("b", namespace="idle"), free=1, running=("busy",)) == [
        "b"
    ]


def test_shares_count_what_was_just_chosen() -> None:
    waiting = [ready("a1", namespace="a"), ready("a2", namespace="a"), ready("b1", namespace="b")]
    assert names(*waiting, free=2) == ["a1", "b1"]


def test_never_more_than_free() -> None:
    assert names(ready("a"), ready("b"), free=0) == []
