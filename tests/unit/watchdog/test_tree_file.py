"""The tree that is shipped, and the errors that a wrong one gives."""

from pathlib import Path

import pytest

from services.watchdog.tree import OnExhausted, Strategy, leaves
from services.watchdog.tree_file import TreeError, parse_tree

SHIPPED = (Path(__file__).parents[3] / "infra" / "supervision.toml").read_text()


def test_the_shipped_tree_starts_in_this_order():
    root = parse_tree(SHIPPED)
    assert [child.id for child in leaves(root)] == [
        "broker-1", "memory-1", "inference-1", "planner-1", "researcher-1", "writer-1",
    ]  # fmt: skip
    assert all(group.on_exhausted is OnExhausted.QUARANTINE for group in root.children)


def test_each_mode_has_its_own_ground_to_stand_on():
    def services(mode: str) -> list[str]:
        return [child.service for child in leaves(parse_tree(SHIPPED, mode=mode))]

    assert services("docker")[:4] == ["postgres", "rabbitmq", "proxy", "watchdog"]
    assert services("process")[:2] == ["broker", "memory"]


def test_what_is_left_out_has_the_defaults_of_otp():
    group = parse_tree('children = [{ service = "memory", replicas = 2 }]')
    assert (group.strategy, group.max_restarts, group.period_s) == (Strategy.ONE_FOR_ONE, 3, 5)
    assert [(child.id, child.shutdown_s) for child in leaves(group)] == [("memory-1", 5.0), ("memory-2", 5.0)]


def test_shutdown_knows_brutal_kill_and_infinity():
    text = 'children = [{ service = "a", shutdown_ms = "brutal_kill" }, { service = "b", shutdown_ms = "infinity" }]'
    assert [child.shutdown_s for child in leaves(parse_tree(text))] == [0.0, None]


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('group = "planner"\nmax_restarts = 5', 'group = "planner"\nmax_restarts = -1', "max_restarts"),
        ('strategy = "one_for_one"', 'strategy = "one_for_two"', "strategy"),
        ('"writer", replicas = 1', '"writer", replicas = "x"', "replicas"),
        ('"memory", replicas = 1', '"memory", replica = 1', "replica"),
        ("start_timeout_s = 60", "start_timeout_s = 0", "start_timeout_s"),
    ],
)
def test_an_error_names_line_and_field(old: str, new: str, field: str) -> None:
    before, found, after = SHIPPED.partition(old)
    assert found
    broken = before + new + after
    line = (before + new).count("\n") + 1
    with pytest.raises(TreeError, match=rf"line {line}: [\w.]*{field}: "):
        parse_tree(broken)


def test_a_service_declared_twice_is_refused():
    with pytest.raises(TreeError, match="child memory-1 is declared twice"):
        parse_tree('children = [{ service = "memory" }, { service = "memory" }]')


def test_bad_toml_names_its_line():
    with pytest.raises(TreeError, match="line 2"):
        parse_tree('strategy = "one_for_one"\nchildren = [ oops')
