"""Keeper, watchdog and real child processes: what survives whom, and what does not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.watchdog.process_table import scan, start_ticks
from tests.integration.waiting import wait_until

ROOT = Path(__file__).parents[2]
CHILD = """
import json, os, select, subprocess, sys, time
wait = "import sys; sys.stdin.read()"
helper = subprocess.Popen([sys.executable, "-c", wait], stdin=subprocess.PIPE, start_new_session=True)
beat, keeper, silent = os.environ["WARREN_BEAT_FILE"], int(os.environ["WARREN_KEEPER_FD"]), False
while not select.select([keeper], [], [], 0.1)[0]:
    with open(beat + ".part", "w") as file:
        json.dump({"pid": os.getpid(), "ready": True, "at": time.monotonic(), "reason": ""}, file)
    os.replace(beat + ".part", beat)
"""
TREE = """
[[children]]
group = "memory"
max_restarts = 2
period_s = 60
on_exhausted = "quarantine"
children = [{{ service = "memory", command = [{python}, {child}] }}]

[[children]]
group = "researcher"
max_restarts = 5
period_s = 60
on_exhausted = "quarantine"
children = [{{ service = "researcher", replicas = 2, shutdown_ms = 1000, command = [{python}, {child}] }}]
"""


class Mesh:
    """A keeper with its own home, and what its files say."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "child.py").write_text(CHILD)
        words = {"python": json.dumps(sys.executable), "child": json.dumps(str(home / "child.py"))}
        (home / "tree.toml").write_text(TREE.format(**words))
        self.env = {
            **os.environ,
            "WARREN_HOME": str(home),
            "WARREN_TREE": str(home / "tree.toml"),
            "WARREN_AMQP_URL": "amqp://guest:guest@127.0.0.1:1/",
            "WARREN_SILENCE": "PT2S",
        }
        self.keeper = self.start_keeper()

    def start_keeper(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "services.watchdog.keeper"]
        return subprocess.Popen(command, env=self.env, cwd=ROOT, start_new_session=True)

    def rows(self) -> dict[str, dict[str, Any]]:
        try:
            rows = json.loads((self.home / "run" / "children.json").read_text())
        except FileNotFoundError:
            return {}
        return {row["instance"]: row for row in rows}

    def pids(self) -> dict[str, int]:
        """The children that run, without the watchdog; empty unless all of them do."""
        rows = {name: row for name, row in self.rows().items() if name != "watchdog-1"}
        running = {name: row["pid"] for name, row in rows.items() if row["state"] == "running"}
        return running if len(running) == 3 and all(map(start_ticks, running.values())) else {}

    def watchdog(self) -> int | None:
        pid = self.rows().get("watchdog-1", {}).get("pid")
        return pid if pid and start_ticks(pid) else None

    def up(self) -> dict[str, int]:
        return wait_until(self.pids, deadline_s=20, what="three running children")

    def left(self) -> list[int]:
        return [found.pid for found in scan(self.home)]

    def end(self) -> None:
        if self.keeper.poll() is None:
            self.keeper.kill()
            self.keeper.wait()
        wait_until(lambda: not self.left() and not self.watchdog(), deadline_s=10, what="an end of all processes")


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Mesh]:
    mesh = Mesh(tmp_path)
    yield mesh
    mesh.end()


def test_a_killed_child_is_restarted_and_the_others_are_left_alone(mesh: Mesh):
    before = mesh.up()
    os.kill(before["researcher-1"], signal.SIGKILL)
    after = wait_until(lambda: (now := mesh.pids()) != before and now, deadline_s=10, what="a new researcher-1")
    assert after["researcher-1"] != before["researcher-1"]
    assert after["researcher-2"] == before["researcher-2"]
    assert mesh.rows()["researcher-1"]["restarts"] == 1


def test_a_foreign_sigterm_is_a_crash(mesh: Mesh):
    before = mesh.up()
    os.kill(before["memory-1"], signal.SIGTERM)
    wait_until(lambda: mesh.pids().get("memory-1", before["memory-1"]) != before["memory-1"],
               deadline_s=10, what="a new memory-1")  # fmt: skip


def test_children_survive_their_watchdog_and_the_next_one_adopts_them(mesh: Mesh):
    before, watchdog = mesh.up(), mesh.watchdog()
    assert watchdog
    os.kill(watchdog, signal.SIGKILL)
    wait_until(lambda: mesh.watchdog() not in (None, watchdog), deadline_s=10, what="a new watchdog")
    assert mesh.up() == before
    assert all(row["restarts"] == 0 for name, row in mesh.rows().items() if name != "watchdog-1")


def test_a_child_that_died_without_a_watchdog_is_restarted_once(mesh: Mesh):
    before, watchdog = mesh.up(), mesh.watchdog()
    assert watchdog
    os.kill(watchdog, signal.SIGKILL)
    os.kill(before["researcher-2"], signal.SIGKILL)
    wait_until(lambda: mesh.watchdog() not in (None, watchdog), deadline_s=10, what="a new watchdog")
    after = mesh.up()
    assert {name for name in after if after[name] != before[name]} == {"researcher-2"}
    assert mesh.rows()["researcher-2"]["restarts"] == 1
    os.kill(after["researcher-1"], signal.SIGKILL)  # the adopted ones are watched, too
    wait_until(lambda: mesh.pids().get("researcher-1") not in (None, after["researcher-1"]),
               deadline_s=10, what="a new researcher-1")  # fmt: skip


def test_nobody_outlives_the_keeper_by_5_s(mesh: Mesh):
    pids = mesh.up()
    os.kill(pids["memory-1"], signal.SIGSTOP)  # cannot notice anything itself
    mesh.keeper.kill()
    mesh.keeper.wait()
    wait_until(lambda: not mesh.left(), deadline_s=5, what="no orphan")


def test_sigterm_to_the_keeper_shuts_everything_down(mesh: Mesh):
    mesh.up()
    assert (mesh.home / "mesh.json").exists()
    mesh.keeper.terminate()
    assert mesh.keeper.wait(20) == 0
    assert mesh.left() == []
    assert not (mesh.home / "mesh.json").exists()
    assert {row["state"] for name, row in mesh.rows().items() if name != "watchdog-1"} == {"stopped"}


def test_a_frozen_child_is_found_killed_and_started_again(mesh: Mesh):
    before = mesh.up()
    os.kill(before["researcher-1"], signal.SIGSTOP)
    wait_until(lambda: mesh.pids().get("researcher-1") not in (None, before["researcher-1"]),
               deadline_s=30, what="a new researcher-1")  # fmt: skip
    assert "hung: silent" in (mesh.home / "logs" / "watchdog.log").read_text()


def test_a_child_that_crashes_too_often_is_quarantined_alone(mesh: Mesh):
    before = mesh.up()
    (mesh.home / "child.py").write_text("raise SystemExit(3)")
    os.kill(before["memory-1"], signal.SIGKILL)
    wait_until(lambda: mesh.rows()["memory-1"]["state"] == "quarantined", deadline_s=20, what="a quarantine")
    assert mesh.rows()["memory-1"]["reason"] == "exit code 3"
    assert mesh.rows()["researcher-1"]["pid"] == before["researcher-1"]


def test_a_home_has_one_keeper(mesh: Mesh):
    mesh.up()
    assert mesh.start_keeper().wait(10) == 75


def test_a_wrong_tree_ends_the_keeper_and_names_the_line(mesh: Mesh):
    mesh.up()
    mesh.end()
    (mesh.home / "tree.toml").write_text('strategy = "one_for_two"\n')
    mesh.keeper = mesh.start_keeper()
    assert mesh.keeper.wait(20) == 78
    assert "line 1: strategy: must be one of" in (mesh.home / "logs" / "watchdog.log").read_text()
