"""The tree on real processes, under a keeper: OTP's boot failure, and a tree that changes while it runs."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.test_process_engine import CHILD, Mesh
from tests.integration.waiting import wait_until

SERVICE = '{{ service = "{name}", shutdown_ms = 2000, command = [{python}, {child}] }}'


class TreeMesh(Mesh):
    """A mesh of `a` and `b`, whose tree the test may change; `broken.py` ends with exit code 3."""

    def __init__(self, home: Path) -> None:
        (home / "broken.py").write_text("raise SystemExit(3)")
        (home / "child.py").write_text(CHILD)
        self.home = home
        self.write(f"children = [{self.service('a')}, {self.service('b')}]\n")
        self.env = {
            **os.environ,
            "WARREN_HOME": str(home),
            "WARREN_TREE": str(home / "tree.toml"),
            "WARREN_AMQP_URL": "amqp://guest:guest@127.0.0.1:1/",
        }
        self.keeper = self.start_keeper()

    def write(self, tree: str) -> None:
        (self.home / "tree.toml").write_text(tree)

    def service(self, name: str, program: str = "child.py") -> str:
        words = {"python": json.dumps(sys.executable), "child": json.dumps(str(self.home / program))}
        return SERVICE.format(name=name, **words)

    def running(self) -> dict[str, int]:
        rows = {name: row for name, row in self.rows().items() if name != "watchdog-1"}
        return {name: row["pid"] for name, row in rows.items() if row["state"] == "running"}


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[TreeMesh]:
    mesh = TreeMesh(tmp_path)
    yield mesh
    mesh.end()


def test_tv12_a_failure_at_boot_stops_who_was_started_and_ends_with_an_exit_code(mesh: TreeMesh):
    wait_until(lambda: set(mesh.running()) == {"a-1", "b-1"}, deadline_s=60, what="two children")
    mesh.end()
    mesh.write(f"children = [{mesh.service('a')}, {mesh.service('b')}, {mesh.service('c', 'broken.py')}]\n")
    mesh.keeper = mesh.start_keeper()
    assert mesh.keeper.wait(60) == 70
    assert mesh.left() == []
    lines = [json.loads(line) for line in (mesh.home / "logs" / "audit.log").read_text().splitlines()]
    orders = [(line["action"], line["child"]) for line in lines if line["action"] in ("start", "stop")]
    assert orders[-5:] == [("start", "a-1"), ("start", "b-1"), ("start", "c-1"), ("stop", "b-1"), ("stop", "a-1")]


def test_a_changed_tree_is_applied_on_sighup_and_a_wrong_one_is_refused(mesh: TreeMesh):
    before = wait_until(lambda: (now := mesh.running()).keys() == {"a-1", "b-1"} and now, deadline_s=60, what="two")
    watchdog = mesh.watchdog()
    assert watchdog
    mesh.write(f"children = [{mesh.service('a')}, {mesh.service('c')}]\n")
    os.kill(watchdog, signal.SIGHUP)
    after = wait_until(lambda: (now := mesh.running()).keys() == {"a-1", "c-1"} and now, deadline_s=60, what="c for b")
    assert after["a-1"] == before["a-1"]
    mesh.write("children = [\n]\n")
    os.kill(watchdog, signal.SIGHUP)
    log = mesh.home / "logs" / "watchdog.log"
    wait_until(lambda: "line 1: children: a group needs at least one child" in log.read_text(),
               deadline_s=60, what="a refusal")  # fmt: skip
    assert mesh.running() == after
    assert mesh.watchdog() == watchdog
