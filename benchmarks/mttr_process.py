"""benchmarks/mttr in process mode: a keeper with a private broker and one victim, in a folder of its own."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mttr import WARREN, Row, Took
from mttr_client import Client, client

ROOT = Path(__file__).resolve().parents[1]
UP_S, BACK_S, LOOK_S = 90.0, 40.0, 0.005
TREE = """
boot = "together"

[[children]]
group = "broker"
children = [{{ service = "broker", only = "process", start_timeout_s = 60, shutdown_ms = 20000 }}]

[[children]]
group = "victim"
max_restarts = 1000
children = [{{ service = "victim", command = {command} }}]
"""


@dataclass
class Processes:
    """`folder`: where everything is written."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    async def measure(self, repeats: int) -> list[Row]:
        tree = self.folder / "tree.toml"
        tree.write_text(TREE.format(command=json.dumps([sys.executable, str(ROOT / "benchmarks/victim.py"), WARREN])))
        kept = {name: value for name, value in os.environ.items() if not name.startswith("WARREN_")}
        env = {**kept, "WARREN_HOME": str(self.home), "WARREN_TREE": str(tree), "PYTHONPATH": str(ROOT)}
        keeper = subprocess.Popen(  # noqa: ASYNC220 - a moment
            [sys.executable, "-m", "services.watchdog.keeper"], env=env, cwd=ROOT, start_new_session=True
        )
        rows = [Row("process", "SIGKILL", WARREN), Row("process", "SIGSTOP", WARREN)]
        try:
            async with client(await self._address()) as asking:
                await asking.ready(WARREN, within_s=UP_S)
                for row in rows:
                    number = signal.Signals[row.kind]
                    for _ in range(repeats):
                        row.took.append(await self._strike(asking, number))
        finally:
            keeper.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(keeper.wait, 60)
        return rows

    async def _strike(self, asking: Client, number: signal.Signals) -> Took:
        await asking.ready(WARREN, within_s=UP_S)
        async with asyncio.timeout(BACK_S):  # one that dies while it is starting is another story
            while self._child()["state"] != "running":
                await asyncio.sleep(LOOK_S)
        pid = int(self._child()["pid"])
        began, wall = time.monotonic(), time.time()
        os.kill(pid, number)
        answer = await asking.ask(WARREN)
        async with asyncio.timeout(BACK_S):
            while self._child().get("pid") in (None, pid):
                await asyncio.sleep(LOOK_S)
            up = self._child()["started_at"] - wall
            handled = await answer - began
        return Took(up, handled, self._detected(wall))

    async def _address(self) -> str:
        async with asyncio.timeout(UP_S):
            while True:
                with contextlib.suppress(OSError, ValueError, KeyError):
                    return str(json.loads((self.home / "mesh.json").read_text())["amqp_url"])
                await asyncio.sleep(LOOK_S)

    def _child(self) -> dict[str, Any]:
        children = json.loads((self.home / "run" / "children.json").read_text())
        return next(child for child in children if child["service"] == "victim")

    def _detected(self, since: float) -> float | None:
        """Seconds from `since` to the watchdog's word, from its log."""
        return detected((self.home / "logs" / "watchdog.log").read_text().splitlines(), since)


def detected(lines: list[str], since: float) -> float | None:
    """When the watchdog said first, after `since`, that the victim hangs or has ended."""
    for line in lines[-200:]:
        with contextlib.suppress(ValueError):
            said = json.loads(line)
            if said.get("event") in ("killing", "child_terminated") and "victim" in str(said.get("child")):
                at = datetime.fromisoformat(said["timestamp"].replace("Z", "+00:00")).timestamp()
                if at >= since:
                    return at - since
    return None
