"""`warren tree` and `warren ps` of a mesh whose broker is away: from what the watchdog wrote down, at once."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

from tests.integration.test_hangs import NAMES, ROOT, Mesh, mesh
from tests.integration.waiting import wait_until

__all__ = ["mesh"]


def warren(mesh: Mesh, *words: str) -> tuple[str, str]:
    """What a command says on stdout and stderr; it must succeed."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("WARREN_")}
    env |= {"WARREN_HOME": str(mesh.home), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "services.cli", *words]
    done = subprocess.run(command, env=env, cwd=mesh.home, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_tree_and_ps_tell_what_is_known_and_since_when_the_broker_is_away(mesh: Mesh):
    wait_until(lambda: (mesh.home / "run" / "tree.json").exists(), deadline_s=30, what="the watchdog wrote it down")
    wait_until(lambda: "running" in warren(mesh, "tree")[0], deadline_s=30, what="with running children")
    drawn, said = warren(mesh, "tree")
    assert [name for name in NAMES if re.search(rf"● {name} running", drawn)] == list(NAMES)
    assert re.search(r"the broker is away since \d\d:\d\d:\d\d .*; the watchdog noted this \d+ s ago", said)
    rows, said = warren(mesh, "ps", "--json")
    assert {row["instance"]: row["state"] for row in json.loads(rows)} == dict.fromkeys(
        (*NAMES, "watchdog-1"), "running"
    )
    assert "the broker is away since" in said
