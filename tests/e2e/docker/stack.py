"""The mesh in containers, as a user has it: `docker compose` and the `warren` command, and nothing from inside."""

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
WARREN = ROOT / ".venv/bin/warren"
SERVICES = ("planner", "memory", "inference", "researcher", "writer", "watchdog")
FAULT_FILE = "/run/warren/fault"
"""Where a container reads whether it is to misbehave; on a volume, since it has to be there when it starts again."""
ENDED = {"done", "failed", "cancelled"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], Any], *, deadline_s: float, what: str) -> Any:
    """The first true value of `condition`, asked again every half second. Fails after `deadline_s` seconds."""
    end = time.monotonic() + deadline_s
    pause = threading.Event()
    while True:
        if value := condition():
            return value
        assert time.monotonic() < end, f"not within {deadline_s:.0f} s: {what}"
        pause.wait(0.5)


@dataclass
class Stack:
    """One compose project of its own, on free ports. `home`: WARREN_HOME of the `warren` commands."""

    project: str
    home: Path
    more: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.amqp_port = free_port()
        self.ollama_port = free_port()
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("WARREN_")},
            "COMPOSE_PROJECT_NAME": self.project,
            "WARREN_AMQP_PORT": str(self.amqp_port),
            "WARREN_MANAGEMENT_PORT": str(free_port()),
            "WARREN_OLLAMA_PORT": str(self.ollama_port),
            "WARREN_OLLAMA_URLS": "http://ollama:11434",
            **self.more,
        }

    @property
    def url(self) -> str:
        return f"amqp://client:warren@127.0.0.1:{self.amqp_port}/"

    def compose(self, *arguments: str, timeout_s: float = 300, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["docker", "compose", "--profile", "*", *arguments],
            cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"compose {arguments}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
        return done

    def up(self, *arguments: str) -> None:
        """`docker compose up -d --wait` with these arguments. Names of services start those and what they need."""
        done = subprocess.run(
            ["docker", "compose", "up", "-d", "--wait", "--wait-timeout", "240", *arguments],
            cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stderr[-3000:]}\n{self.logs()}"

    def down(self) -> None:
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "5", check=False)

    def logs(self) -> str:
        return self.compose("logs", "--no-color", "--tail", "30", check=False).stdout[-12000:]

    def containers(self, service: str, *, stopped: bool = False) -> list[str]:
        """Ids of the service's containers, oldest first."""
        every = ("--all",) if stopped else ()
        return self.compose("ps", "--quiet", *every, service).stdout.split()

    def kill(self, service: str) -> list[str]:
        """`docker kill` of all containers of a service."""
        killed = self.containers(service)
        assert killed, f"{service} does not run"
        docker("kill", *killed)
        return killed

    def warren(self, *arguments: str, timeout_s: float = 120, said: str = "") -> subprocess.CompletedProcess[str]:
        """`said`: its standard input."""
        return subprocess.run(
            [WARREN, *arguments], cwd=self.home.parent, capture_output=True, text=True, timeout=timeout_s, input=said,
            env={**self.env, "WARREN_AMQP_URL": self.url, "WARREN_HOME": str(self.home)},
        )  # fmt: skip

    def by_hand(self, *arguments: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        """Of somebody who is in the checkout, and has a `.warren/` that `warren up` made: orders go by compose."""
        self.home.mkdir(exist_ok=True)
        (self.home / "mesh.json").write_text(json.dumps({"mode": "docker", "amqp_url": self.url}))
        return subprocess.run(
            [WARREN, *arguments], env={**self.env, "WARREN_HOME": str(self.home)}, capture_output=True, text=True,
            timeout=timeout_s, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def json(self, *arguments: str, timeout_s: float = 120) -> Any:
        """What a command prints with --json; fails if it fails."""
        done = self.warren(*arguments, "--json", timeout_s=timeout_s)
        assert done.returncode == 0, f"warren {arguments} ended with {done.returncode}: {done.stderr[-3000:]}"
        return json.loads(done.stdout)

    def statuses(self) -> dict[str, dict[str, Any]]:
        """Goal text -> its summary. Empty while the mesh cannot answer."""
        done = self.warren("goals", "--json", timeout_s=60)
        return {goal["goal"]: goal for goal in json.loads(done.stdout)} if done.returncode == 0 else {}

    def all_ended(self, goals: set[str], *, deadline_s: float) -> dict[str, dict[str, Any]]:
        """Waits until these goals have ended, and returns their summaries."""

        def ended() -> dict[str, dict[str, Any]] | None:
            found = {text: goal for text, goal in self.statuses().items() if text in goals}
            return found if goals <= {text for text, goal in found.items() if goal["status"] in ENDED} else None

        try:
            return until(ended, deadline_s=deadline_s, what=f"{len(goals)} goals end")
        except AssertionError:
            print(self.statuses(), self.logs())
            raise

    def bundle(self, goal_id: str) -> Path:
        return self.home / "reports" / goal_id


class Witness:
    """Docker's own word for what starts and dies, as it happens: it keeps the last 256 events only, and every health
    check is three of them."""

    def __init__(self, project: str, file: Path) -> None:
        self.file = file
        filters = (f"label=com.docker.compose.project={project}", "event=start", "event=die")
        words = [word for one in filters for word in ("--filter", one)]
        command = ["docker", "events", "--since", f"{time.time():.6f}", *words, "--format", "{{json .}}"]
        with file.open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stdin=subprocess.DEVNULL)

    def events(self, since: float = 0.0) -> list[dict[str, Any]]:
        """Those after a moment, in order."""
        lines = self.file.read_text().splitlines(keepends=True)
        told = [json.loads(line) for line in lines if line.endswith("\n")]
        return sorted((e for e in told if e["timeNano"] / 1e9 >= since), key=lambda event: event["timeNano"])

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def docker(*arguments: str, timeout_s: float = 60) -> str:
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL
    )  # fmt: skip
    assert done.returncode == 0, f"docker {arguments}: {done.stderr[-3000:]}"
    return done.stdout


def citations_that_fail(bundle: Path) -> list[str]:
    """Reads a bundle with nothing of ours: each citation whose quote does not stand where it says."""
    report = json.loads((bundle / "report.json").read_text())
    wrong = []
    for citation in report["citations"]:
        text = (bundle / "sources" / f"{citation['sha256']}.txt").read_text(encoding="utf-8")
        if (
            text[citation["start"] : citation["end"]] != citation["quote"]
            or f"[{citation['n']}]" not in report["report"]
        ):
            wrong.append(f"[{citation['n']}] {citation['source']}")
    return wrong
