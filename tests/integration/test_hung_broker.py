"""A private broker that stands still: its connections stay open and nobody answers. It is found, killed, started again,
and what was confirmed is still there."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.watchdog.liveness import ASKED_S
from services.watchdog.rabbitmq_server import BrokerSpec, find_server, prepare, running_pid, wait_ready
from tests.integration.test_hangs import CHILD, ROOT, pause
from tests.integration.test_private_broker import put, queue_is_registered, take
from tests.integration.waiting import wait_until

pytestmark = pytest.mark.skipif(find_server() is None, reason="no rabbitmq-server here: run infra/setup --broker")
FOUND_S = ASKED_S + 2.0
"""The goal: silent for ten seconds, a second look, and what was left of the watchdog's own rounds."""
TREE = """
[[children]]
group = "broker"
max_restarts = 5
period_s = 60
children = [{{ service = "broker", only = "process", start_timeout_s = 60, shutdown_ms = 20000 }}]

[[children]]
group = "memory"
children = [{{ service = "memory", replicas = 2, command = [{python}, {child}] }}]
"""


class Mesh:
    """A keeper, a watchdog, a broker of its own and two children that beat."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "child.py").write_text(CHILD)
        words = {"python": json.dumps(sys.executable), "child": json.dumps(str(home / "child.py"))}
        (home / "tree.toml").write_text("boot = 'together'\n" + TREE.format(**words))
        env = {k: v for k, v in os.environ.items() if not k.startswith("WARREN_")}
        env |= {"WARREN_HOME": str(home), "WARREN_TREE": str(home / "tree.toml"), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "services.watchdog.keeper"]
        self.keeper = subprocess.Popen(command, env=env, cwd=ROOT, start_new_session=True)

    def states(self) -> dict[str, tuple[str, int, int | None]]:
        """Of each child: state, restarts, pid."""
        try:
            rows = json.loads((self.home / "run" / "children.json").read_text())
        except FileNotFoundError:
            return {}
        return {row["instance"]: (row["state"], row["restarts"], row["pid"]) for row in rows}

    def all_run(self) -> bool:
        return {"broker-1", "memory-1"} < set(self.states()) and all(s == "running" for s, *_ in self.states().values())

    def killed(self) -> list[str]:
        lines = (self.home / "logs" / "watchdog.log").read_text().splitlines()
        said = [json.loads(line) for line in lines if line.startswith("{")]
        return [f"{one['child']} {one['reason']}" for one in said if one.get("event") == "killing"]

    def close(self) -> None:
        self.keeper.terminate()
        self.keeper.wait(60)


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Mesh]:
    mesh = Mesh(tmp_path)
    wait_until(mesh.all_run, deadline_s=90, what="all run")
    yield mesh
    mesh.close()


def broker_of(mesh: Mesh) -> tuple[BrokerSpec, int]:
    spec = prepare(mesh.home)
    return spec, wait_until(lambda: running_pid(spec), deadline_s=60, what="the broker's process") or 0


@pytest.mark.timeout(400)
def test_a_hung_broker_is_found_and_restarted_and_keeps_what_was_confirmed(mesh: Mesh):
    spec, machine = broker_of(mesh)
    asyncio.run(put(spec, b"still here"))
    wait_until(lambda: queue_is_registered(spec), deadline_s=30, what="the queue is on disk")
    before, begun = mesh.states(), time.monotonic()
    os.kill(machine, signal.SIGSTOP)
    wait_until(mesh.killed, deadline_s=10 * FOUND_S, what="the hang is found")
    print(f"found after {time.monotonic() - begun:.1f} s (goal: {FOUND_S:g} s)")
    wait_until(lambda: mesh.states()["broker-1"][1] == 1 and mesh.all_run(), deadline_s=120, what="the broker is back")
    print(f"back after {time.monotonic() - begun:.1f} s")
    asyncio.run(wait_ready(spec, timeout_s=60))
    assert asyncio.run(take(spec)) == b"still here"
    assert [line.partition(" for ")[0] for line in mesh.killed()] == ["broker-1 hung: silent"]
    assert "stopped" in mesh.killed()[0]
    after = mesh.states()
    assert {n: s for n, s in after.items() if n != "broker-1"} == {n: s for n, s in before.items() if n != "broker-1"}


@pytest.mark.timeout(300)
def test_a_broker_that_stands_still_for_a_moment_is_left_alone(mesh: Mesh):
    _, machine = broker_of(mesh)
    before = mesh.states()
    os.kill(machine, signal.SIGSTOP)
    pause(ASKED_S / 4)
    os.kill(machine, signal.SIGCONT)
    pause(ASKED_S)
    assert mesh.killed() == []
    assert mesh.states() == before
