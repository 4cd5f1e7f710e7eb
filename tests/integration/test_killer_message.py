"""A message that kills its worker, with a real keeper, watchdog, planner, broker and worker: its dossier is complete.

Beside it: a handler that does not end, although its loop lives, is found and its process restarted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.watchdog.rabbitmq_server import find_server
from tests.integration.waiting import wait_until

ROOT = Path(__file__).parents[2]
WORKER = """
import asyncio, os, signal, sys
from dataclasses import replace
from shared.contracts.findings import Forget
from shared.contracts.message import Done
from shared.messaging.topology import MEMORY
from shared.runtime.run import run
from shared.runtime.service import Service
from shared.runtime.settings import MeshSettings

async def on_forget(message, envelope):
    if message.finding_id == "killer":
        print("about to do what kills", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)
    if message.finding_id == "endless" and not envelope.suspect:
        await asyncio.Event().wait()
    return Done(count=1)

service = Service("memory", MeshSettings())
service.subscribe(replace(MEMORY, handler_s=5.0), Forget, on_forget)
run(service)
"""
TREE = """
[[children]]
group = "broker"
max_restarts = 5
period_s = 60
children = [{{ service = "broker", only = "process", start_timeout_s = 90, shutdown_ms = 20000 }}]

[[children]]
group = "planner"
max_restarts = 5
period_s = 60
children = [{{ service = "planner" }}]

[[children]]
group = "memory"
max_restarts = 5
period_s = 60
children = [{{ service = "memory", command = [{python}, {worker}] }}]
"""


class Mesh:
    """A mesh of three: broker, planner, and a worker in the place of memory. `amqp_url`: not a broker of its own."""

    def __init__(self, home: Path, *, amqp_url: str | None = None) -> None:
        self.home = home
        (home / "worker.py").write_text(WORKER)
        words = {"python": json.dumps(sys.executable), "worker": json.dumps(str(home / "worker.py"))}
        (home / "tree.toml").write_text("boot = 'together'\n" + TREE.format(**words))
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("WARREN_")}
        self.env |= {"WARREN_HOME": str(home), "WARREN_MODE": "process", "PYTHONPATH": str(ROOT)}
        self.env |= {"WARREN_AMQP_URL": amqp_url} if amqp_url else {}
        started = {**self.env, "WARREN_TREE": str(home / "tree.toml")}
        command = [sys.executable, "-m", "services.watchdog.keeper"]
        self.keeper = subprocess.Popen(command, env=started, cwd=ROOT, start_new_session=True)

    def warren(self, *words: str) -> str:
        command = [sys.executable, "-m", "services.cli", *words]
        done = subprocess.run(command, env=self.env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        return done.stdout if done.returncode == 0 else ""

    def publish(self, finding_id: str, message_id: str) -> None:
        """As anybody could."""
        code = (
            "import asyncio, sys, aio_pika\n"
            "async def main():\n"
            "    connection = await aio_pika.connect(sys.argv[1])\n"
            "    async with connection:\n"
            "        channel = await connection.channel()\n"
            "        exchange = await channel.get_exchange('warren.commands', ensure=False)\n"
            "        message = aio_pika.Message(sys.argv[2].encode(), message_id=sys.argv[3], delivery_mode=2)\n"
            "        await exchange.publish(message, 'cmd.memory.forget.v1')\n"
            "asyncio.run(main())\n"
        )
        url = json.loads((self.home / "mesh.json").read_text())["amqp_url"]
        body = json.dumps({"finding_id": finding_id})
        subprocess.run([sys.executable, "-c", code, url, body, message_id], check=True, timeout=60)

    def row(self, instance: str) -> dict[str, Any]:
        try:
            rows = json.loads((self.home / "run" / "children.json").read_text())
        except FileNotFoundError:
            return {}
        return next((row for row in rows if row["instance"] == instance), {})

    def runs(self, *names: str) -> bool:
        return all(self.row(name).get("state") == "running" for name in names or ("broker-1", "planner-1", "memory-1"))

    def said(self, kind: str) -> list[dict[str, Any]]:
        lines = (self.home / "logs" / "watchdog.log").read_text().splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in found if line.get("event") == kind]

    def close(self) -> None:
        self.keeper.terminate()
        self.keeper.wait(90)


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    if find_server() is None:
        pytest.skip("no rabbitmq-server on this machine (infra/setup --broker installs it)")
    mesh = Mesh(tmp_path_factory.mktemp("killer"))
    try:
        wait_until(mesh.runs, deadline_s=110, what="broker, planner and worker run")
        yield mesh
    finally:
        mesh.close()


@pytest.mark.timeout(240)
def test_the_dossier_of_a_killer_says_how_its_worker_ended(mesh: Mesh):
    mesh.publish("innocent", "message-0")
    mesh.publish("killer", "message-1")

    def dossier() -> dict[str, Any] | None:
        letters = json.loads(mesh.warren("dead", "list", "--json") or "[]")
        if len(letters) != 1:
            return None
        shown: dict[str, Any] = json.loads(mesh.warren("dead", "show", letters[0]["id"], "--json") or "{}")
        return shown if len(shown.get("crashes", ())) >= 2 else None

    found = wait_until(dossier, deadline_s=100, what="a dead letter with its crashes")
    assert found is not None
    for crash in found["crashes"]:
        assert crash["worker"] == "memory-1"
        assert (crash["reason"], crash["signal"], crash["exit_code"]) == ("killed by SIGSEGV", "SIGSEGV", None)
        assert crash["out_of_memory"] is False
        assert crash["memory_mb"] > 20
        assert any("about to do what kills" in line for line in crash["last_lines"])
    assert all(crash["held"] >= 1 for crash in found["crashes"])
    deaths = (mesh.home / "logs" / "memory-1.log").read_text().count("about to do what kills")
    assert deaths <= 3, "once in the queue, at most twice alone: a handler that dies at once makes no loop"
    text = mesh.warren("dead", "show", found["dead_letter"]["id"])
    assert "killed by SIGSEGV" in text
    assert "about to do what kills" in text
    assert "MB at most" in text


@pytest.mark.timeout(180)
def test_a_handler_that_does_not_end_is_a_stall_and_its_process_is_restarted(mesh: Mesh):
    wait_until(mesh.runs, deadline_s=60, what="the worker runs")
    mesh.publish("endless", "message-2")

    def stalled() -> str | None:
        lines = [line["reason"] for line in mesh.said("child_terminated") if line["child"] == "memory-1"]
        return next(
            (reason for reason in lines if reason.startswith("stalled: cmd.memory.forget.v1 of memory.v1 ")), None
        )

    reason = wait_until(stalled, deadline_s=90, what="the stall is found")
    assert reason is not None
    assert reason.endswith(", at most 5 s")
    wait_until(mesh.runs, deadline_s=60, what="another process")
