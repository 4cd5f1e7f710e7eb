"""The drawing of the supervision tree."""

from __future__ import annotations

from services.cli.supervision_tree import drawn
from shared.contracts.supervision import TreeNode


def group(name: str, parent: str | None = None, **more: object) -> TreeNode:
    fields = {"state": "up", "strategy": "one_for_one", "max_restarts": 5, "period_s": 60, "restarts_left": 5, **more}
    return TreeNode(kind="group", id=name, parent=parent, **fields)  # type: ignore[arg-type]


def child(name: str, parent: str, state: str = "running", **more: object) -> TreeNode:
    return TreeNode(kind="child", id=name, parent=parent, state=state, service=name[:-2], **more)  # type: ignore[arg-type]


def test_groups_and_children_are_drawn_with_states_budgets_and_who_failed_last():
    nodes = [
        group("root", max_restarts=3, period_s=5, restarts_left=3),
        group("memory", "root", state="quarantined", restarts_left=0, next_try_s=42.0,
              last_failed="memory-1", last_failed_reason="exit code 3", last_failed_ago_s=18.0),
        child("memory-1", "memory", "quarantined", restarts=5, reason="exit code 3"),
        group("work", "root", strategy="rest_for_one"),
        child("planner-1", "work", uptime_s=3720.0),
        child("job-1", "work", "stopped", restart="transient"),
        child("writer-1", "work", "held", reason="stopped by you"),
    ]  # fmt: skip
    assert drawn(nodes) == [
        "root · one_for_one · 3 of 3 restarts left in 5 s",
        "├── memory QUARANTINED (next try in 42 s) · one_for_one · 0 of 5 restarts left in 60 s"
        " · last failed: memory-1 18 s ago (exit code 3)",
        "│   └── ✗ memory-1 quarantined · restarted 5x · exit code 3",
        "└── work · rest_for_one · 5 of 5 restarts left in 60 s",
        "    ├── ● planner-1 running 1 h 2 min",
        "    ├── · job-1 stopped · transient",
        "    └── - writer-1 held · stopped by you",
    ]
