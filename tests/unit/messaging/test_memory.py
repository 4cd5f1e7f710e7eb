"""What was stored here last is known only while nobody changes it."""

from shared.messaging.memory import Memory


def test_it_is_not_known_while_it_is_changed_and_known_once_that_is_committed() -> None:
    memory = Memory()
    turn = memory.changing("a")
    assert memory.get("a") is None
    memory.keep("a", 1, turn)
    assert memory.get("a") == 1
    memory.changing("a")
    assert memory.get("a") is None, "an uncommitted value is for its own transaction only"


def test_what_is_told_late_does_not_hide_a_later_change() -> None:
    memory = Memory()
    first = memory.changing("a")
    second = memory.changing("a")
    memory.keep("a", "old", first)
    assert memory.get("a") is None
    memory.keep("a", "new", second)
    memory.keep("a", "old", first)
    assert memory.get("a") == "new"


def test_a_change_that_is_never_committed_is_read_again() -> None:
    memory = Memory()
    memory.keep("a", 1, memory.changing("a"))
    memory.changing("a")  # and undone
    memory.keep("a", 2, memory.changing("a"))
    assert memory.get("a") == 2


def test_none_is_not_kept_and_clear_forgets_what_is_under_way() -> None:
    memory = Memory()
    memory.keep("a", None, memory.changing("a"))
    assert memory.get("a") is None
    turn = memory.changing("b")
    memory.clear()
    memory.keep("b", 1, turn)
    assert memory.get("b") is None


def test_it_is_bounded_and_the_oldest_go_first() -> None:
    memory = Memory(most=3)
    for n in range(5):
        memory.keep(n, n, memory.changing(n))
    assert [memory.get(n) for n in range(5)] == [None, None, 2, 3, 4]


def test_a_memory_of_nothing_keeps_nothing() -> None:
    memory = Memory(most=0)
    memory.keep("a", 1, memory.changing("a"))
    assert memory.get("a") is None
