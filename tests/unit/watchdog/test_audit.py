"""Every action has its reason, in a file that does not grow for ever and as an event."""

import json
from pathlib import Path

from services.watchdog.actions import Report
from services.watchdog.audit import Audit
from services.watchdog.log_files import rotate, shorten
from shared.contracts.supervision import ActionTaken


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def lines(path: Path) -> list[tuple[str, str, str]]:
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert all(line["at"] and line["epoch"] == 7 for line in found)
    return [(line["action"], line["child"], line["reason"]) for line in found]


def test_an_action_is_told_with_what_led_to_it(tmp_path: Path):
    told: list[ActionTaken] = []
    clock = Clock()
    audit = Audit(tmp_path / "logs" / "audit.log", told.append, lambda: 7, clock)
    audit.act("start", "memory-1")
    audit.hear(Report("child_terminated", "researcher-1", "killed by SIGKILL"))
    audit.act("stop", "writer-1")
    audit.act("start", "researcher-1")
    audit.act("kill", "writer-1", why="hung: silent for 2.6 s, stopped")
    audit.hear(Report("held", "writer-1", "stopped by you"))
    audit.act("stop", "writer-1")
    clock.now += 60
    audit.act("stop", "memory-1")
    assert lines(tmp_path / "logs" / "audit.log") == [
        ("start", "memory-1", "it is wanted"),
        ("stop", "writer-1", "after researcher-1 child_terminated: killed by SIGKILL"),
        ("start", "researcher-1", "child_terminated: killed by SIGKILL"),
        ("kill", "writer-1", "hung: silent for 2.6 s, stopped"),
        ("held", "writer-1", "stopped by you"),
        ("stop", "writer-1", "held: stopped by you"),
        ("stop", "memory-1", "ordered"),
    ]
    assert [(event.action, event.child) for event in told][:2] == [("start", "memory-1"), ("stop", "writer-1")]


def test_a_disk_that_takes_nothing_stops_nobody(tmp_path: Path):
    (tmp_path / "logs").write_text("not a folder")
    told: list[ActionTaken] = []
    Audit(tmp_path / "logs" / "audit.log", told.append).act("start", "memory-1")
    assert len(told) == 1


def test_a_full_file_makes_room_and_three_old_ones_stay(tmp_path: Path):
    path = tmp_path / "audit.log"
    for number in range(6):
        rotate(path, limit_bytes=10, keep=3)
        path.write_text(f"{number} is long enough")
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "audit.log",
        "audit.log.1",
        "audit.log.2",
        "audit.log.3",
    ]
    assert path.with_name("audit.log.1").read_text().startswith("4")
    assert path.with_name("audit.log.3").read_text().startswith("2")


def test_a_log_that_is_held_open_is_emptied_under_its_writer(tmp_path: Path):
    with (tmp_path / "watchdog.log").open("a") as writer:
        writer.write("x" * 100)
        writer.flush()
        assert shorten(tmp_path, limit_bytes=100) == ["watchdog.log"]
        writer.write("afterwards")
    assert (tmp_path / "watchdog.log").read_text() == "afterwards"
    assert (tmp_path / "watchdog.log.1").read_text() == "x" * 100
    assert shorten(tmp_path, limit_bytes=100) == []
