"""Keeper, watchdog and real child processes with a real event loop: what hangs is found, what is only slow is not.

The minute at full load is ten with WARREN_SOAK=1.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.watchdog.process_table import start_ticks
from tests.integration.waiting import wait_until

ROOT = Path(__file__).parents[2]
GOAL_S = 4.0
NAMES = ("memory-1", "researcher-1", "researcher-2")
FULL_LOAD_S = 600.0 if os.environ.get("WARREN_SOAK") else 60.0
CHILD = """
import asyncio, os, signal, time
from pathlib import Path
from shared.runtime.heartbeat import beat

def spin(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass

async def main():
    loop = asyncio.get_running_loop()
    loop.add_reader(int(os.environ["WARREN_KEEPER_FD"]), os._exit, 1)
    loop.add_signal_handler(signal.SIGUSR1, time.sleep, 1000)
    loop.add_signal_handler(signal.SIGUSR2, spin, 1000)
    asyncio.create_task(beat(Path(os.environ["WARREN_BEAT_FILE"]), lambda: {"ready": True, "reason": ""}))
    while True:
        await asyncio.sleep(0.7)
        spin(0.3)   # more than any handler may do on its loop

asyncio.run(main())
"""
TREE = """
[[children]]
group = "all"
max_restarts = 9
period_s = 60
children = [{{ service = "memory", command = [{python}, {child}] }},
            {{ service = "researcher", replicas = 2, command = [{python}, {child}] }}]
"""


class Mesh:
    """A keeper with a home of its own; no broker, which liveness must not need."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "child.py").write_text(CHILD)
        words = {"python": json.dumps(sys.executable), "child": json.dumps(str(home / "child.py"))}
        (home / "tree.toml").write_text(TREE.format(**words))
        env = {k: v for k, v in os.environ.items() if not k.startswith("WARREN_")}
        env |= {"WARREN_HOME": str(home), "WARREN_TREE": str(home / "tree.toml"), "PYTHONPATH": str(ROOT)}
        env |= {"WARREN_AMQP_URL": "amqp://guest:guest@127.0.0.1:1/"}
        command = [sys.executable, "-m", "services.watchdog.keeper"]
        self.keeper = subprocess.Popen(command, env=env, cwd=ROOT, start_new_session=True)

    def rows(self) -> dict[str, dict[str, Any]]:
        try:
            return {row["instance"]: row for row in json.loads((self.home / "run" / "children.json").read_text())}
        except FileNotFoundError:
            return {}

    def all_run(self) -> dict[str, int]:
        """The pids of the children and the watchdog; empty unless all run."""
        rows = self.rows()
        pids = {name: row["pid"] for name, row in rows.items() if row["state"] == "running" and row["pid"]}
        return pids if set(NAMES) < set(pids) and all(map(start_ticks, pids.values())) else {}

    def restarts(self) -> dict[str, int]:
        return {name: row["restarts"] for name, row in self.rows().items()}

    def said(self, kind: str) -> list[dict[str, Any]]:
        lines = (self.home / "logs" / "watchdog.log").read_text().splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in found if line.get("event") == kind]

    def close(self) -> None:
        self.keeper.terminate()
        self.keeper.wait(60)


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Mesh]:
    mesh = Mesh(tmp_path)
    wait_until(mesh.all_run, deadline_s=90, what="all children run")
    yield mesh
    mesh.close()


def pause(seconds: float) -> None:
    """Lets time pass, with the machine as it is: the only way to see that nothing happens."""
    threading.Event().wait(seconds)


@pytest.mark.parametrize(
    ("how", "what"),
    [
        (signal.SIGSTOP, "stopped"),
        (signal.SIGUSR1, "its loop is blocked"),
        (signal.SIGUSR2, "computing"),
    ],
    ids=["stopped", "blocked", "spinning"],
)
def test_a_hang_is_found_and_restarted(mesh: Mesh, how: signal.Signals, what: str):
    before = mesh.all_run()
    begun = time.monotonic()
    os.kill(before["researcher-2"], how)

    def replaced() -> bool:
        now = mesh.all_run()
        return bool(now) and now["researcher-2"] != before["researcher-2"]

    wait_until(replaced, deadline_s=10 * GOAL_S, what="a new process for what hung")
    took = time.monotonic() - begun
    print(f"{what}: runs again after {took:.2f} s (goal: {GOAL_S:g} s)")
    reasons = [line["reason"] for line in mesh.said("child_terminated")]
    assert len(reasons) == 1
    assert reasons[0].startswith("hung: silent for ")
    assert what in reasons[0]
    assert {name: pid for name, pid in mesh.all_run().items() if name != "researcher-2"} == {
        name: pid for name, pid in before.items() if name != "researcher-2"
    }


@pytest.mark.timeout(FULL_LOAD_S + 180)
def test_nobody_is_restarted_at_full_load(mesh: Mesh):
    before = mesh.all_run()
    spin = "while True: pass"
    hogs = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(4 * (os.cpu_count() or 2))]
    try:
        pause(FULL_LOAD_S)
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
    assert mesh.said("killing") == []
    assert wait_until(mesh.all_run, deadline_s=30, what="all run") == before


@pytest.mark.timeout(180)
def test_a_mesh_that_was_frozen_as_a_whole_and_thawed_goes_on(mesh: Mesh):
    before = mesh.all_run()
    order = [mesh.keeper.pid, before["watchdog-1"], *(before[name] for name in NAMES)]
    for pid in order:
        os.kill(pid, signal.SIGSTOP)
    pause(12)
    for pid in order:  # the worst order: who judges wakes before the others
        os.kill(pid, signal.SIGCONT)
        pause(0.3)
    pause(6)
    assert mesh.said("killing") == []
    assert wait_until(mesh.all_run, deadline_s=30, what="all run") == before
    assert set(mesh.restarts().values()) == {0}


@pytest.mark.timeout(180)
def test_children_that_fall_silent_all_at_once_are_not_killed(mesh: Mesh):
    before = mesh.all_run()
    children = [before[name] for name in NAMES]
    for pid in children:
        os.kill(pid, signal.SIGSTOP)
    pause(8)
    for pid in children:
        os.kill(pid, signal.SIGCONT)
    pause(3)
    assert mesh.said("killing") == []
    assert wait_until(mesh.all_run, deadline_s=30, what="all run") == before
