"""A whole mesh as processes, driven through the `warren` command as a user would, and looked at from outside."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]
UP_S = 120
GOAL_S = 120


@dataclass
class Mesh:
    """A mesh with a home of its own. `script` is what the `scripted` engine reads; its calls are counted beside it."""

    home: Path

    @property
    def script(self) -> Path:
        return self.home.parent / f"{self.home.name}.script.json"

    @property
    def env(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("WARREN_")}
        return {
            **kept,
            "WARREN_HOME": str(self.home),
            "WARREN_MODE": "process",
            "WARREN_SCRIPT": str(self.script),
            # Nothing listens there: a model on the machine of whoever runs the tests must not change what they see.
            "WARREN_OLLAMA_URLS": "http://127.0.0.1:9",
            "PYTHONPATH": str(ROOT),
        }

    def warren(self, *args: str, timeout_s: float = GOAL_S, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "services.cli", *args]
        return subprocess.run(
            command, env=self.env, cwd=ROOT, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    @contextlib.contextmanager
    def asking(self, *args: str) -> Iterator["subprocess.Popen[str]"]:
        """`warren ask` beside the test; ended with the block at the latest."""
        command = [sys.executable, "-m", "services.cli", "ask", *args]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, env=self.env, cwd=ROOT, **pipes) as process:  # type: ignore[call-overload]
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    def json(self, *args: str) -> Any:
        answer = self.warren(*args, "--json")
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)

    def up(self) -> None:
        answer = self.warren("up", timeout_s=UP_S)
        assert answer.returncode == 0, answer.stderr + self.logs()

    def down(self) -> None:
        answer = self.warren("down", timeout_s=UP_S)
        assert answer.returncode == 0, answer.stderr

    def logs(self) -> str:
        return "\n".join(f"== {path.name}\n{path.read_text()[-1500:]}" for path in (self.home / "logs").glob("*.log"))

    def children(self) -> list[dict[str, Any]]:
        """As the watchdog wrote them, whether or not a broker answers."""
        return list(json.loads((self.home / "run" / "children.json").read_text()))

    def pid(self, service: str) -> int:
        def running() -> int | None:
            return next((c["pid"] for c in self.children() if c["service"] == service and c.get("pid")), None)

        return wait_until(running, deadline_s=60, what=f"{service} runs") or 0

    def kill(self, service: str) -> int:
        pid = self.pid(service)
        os.kill(pid, signal.SIGKILL)
        return pid

    def await_restart(self, service: str, old: int) -> None:
        def again() -> bool:
            mine = [c for c in self.children() if c["service"] == service]
            return any(c.get("pid") not in (None, old) and c["state"] == "running" for c in mine)

        wait_until(again, deadline_s=90, what=f"{service} is back")

    def play(self, *, latency_s: float) -> None:
        """From now on the scripted engine takes this long for a call; only for plans it takes no time."""
        self.script.write_text(json.dumps({"latency_s": latency_s, "answers": [{"purpose": "plan", "latency_s": 0}]}))

    def calls(self, goal_id: str) -> list[str]:
        """The model calls that the scripted engine made for a goal, as it wrote them down itself."""
        path = Path(f"{self.script}.calls")
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [f"{c['step']}/{c['purpose']}/{c['ordinal']}" for c in lines if c["goal_id"] == goal_id]

    def goal_that_says(self, event: str, *, text: str) -> str:
        """The id of the running goal with this text, once one of its events is `event`."""

        def found() -> str | None:
            goals = [g for g in self.json("goals") if g["goal"] == text]
            if not goals:
                return None
            told = self.json("show", goals[0]["goal_id"], "--trace")
            return goals[0]["goal_id"] if any(e["event"] == event for e in told["events"]) else None

        return wait_until(found, deadline_s=60, what=f"{event} of {text!r}") or ""


def check(bundle: Path) -> dict[str, Any]:
    """Checks a bundle as anyone can, without Warren: hashes, offsets, quotes, numbers. Returns report.json."""
    report: dict[str, Any] = json.loads((bundle / "report.json").read_text())
    for citation in report["citations"]:
        text = (bundle / "sources" / f"{citation['sha256']}.txt").read_bytes()
        assert hashlib.sha256(text).hexdigest() == citation["sha256"]
        assert text.decode()[citation["start"] : citation["end"]] == citation["quote"]
        assert f"[{citation['n']}]" in report["report"]
    return report
