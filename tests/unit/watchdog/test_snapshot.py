"""The tree that the watchdog writes down for when nobody can ask it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from services.watchdog.snapshot import Snapshot
from shared.contracts.supervision import TreeDescribed, TreeNode


class Desk:
    """A snapshot at a clock of its own; `state` is that of the one child."""

    def __init__(self, folder: Path, *, at: float = 100.0) -> None:
        self.path, self.now, self.state, self.uptime, self.leads = (
            folder / "run" / "tree.json",
            at,
            "running",
            0.0,
            True,
        )
        self.snapshot = Snapshot(self.path, self.described, lambda: self.leads, lambda: self.now)

    def described(self) -> TreeDescribed:
        node = TreeNode(kind="child", id="a-1", state=self.state, uptime_s=self.uptime)
        return TreeDescribed(nodes=(node,), mode="process")

    def look(self, now: float, *, connected: bool) -> dict[str, Any] | None:
        """What stands there after one look; None if nothing was written."""
        self.now = self.uptime = now
        self.path.unlink(missing_ok=True)
        self.snapshot.look(connected=connected)
        return json.loads(self.path.read_text()) if self.path.exists() else None


def test_it_is_written_when_something_has_changed_and_not_because_time_passes(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert desk.look(101, connected=True)
    assert desk.look(102, connected=True) is None
    desk.state = "held"
    found = desk.look(103, connected=True)
    assert found
    assert (found["at"], found["broker_away_since"], found["tree"]["nodes"][0]["state"]) == (103, None, "held")


def test_while_the_broker_is_away_it_is_written_at_every_look_with_the_moment_it_went(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.look(101, connected=True)
    away = [desk.look(now, connected=False) for now in (102, 103, 104)]
    assert [(one["at"], one["broker_away_since"]) for one in away if one] == [(102, 102), (103, 102), (104, 102)]
    back = desk.look(105, connected=True)
    assert back
    assert back["broker_away_since"] is None


def test_a_successor_knows_since_when_the_broker_is_away_but_believes_no_old_file(tmp_path: Path) -> None:
    Desk(tmp_path).snapshot.look(connected=False)
    soon, late = Desk(tmp_path, at=105.0), Desk(tmp_path, at=500.0)
    assert (soon.look(105, connected=False) or {})["broker_away_since"] == 100
    assert (late.look(500, connected=False) or {})["broker_away_since"] == 500


def test_only_the_one_that_leads_writes(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.leads = False
    assert desk.look(101, connected=False) is None
    desk.leads = True
    assert (desk.look(102, connected=False) or {})["broker_away_since"] == 101
