"""benchmarks/mttr in containers: a compose project of its own, three victims, three supervisors, struck in turn."""

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mttr import ALWAYS, POLLER, WARREN, Row, Took
from mttr_client import Client, client
from mttr_process import detected

ROOT = Path(__file__).resolve().parents[1]
IMAGE = "warren:mttr"
UP_S, BACK_S, POLL_S = 120.0, 40.0, 5.0
KINDS = ("docker kill", "SIGKILL", "docker pause", "SIGSTOP")
SLOW = 5
"""Repeats where one of them takes half a minute: the poller, and a process that only its health check finds."""
TREE = """
boot = "together"

[[children]]
group = "victim"
max_restarts = 1000
children = [{ service = "victim" }]
"""
AUTOHEAL = {"interval": "5s", "timeout": "5s", "retries": 3, "start_period": "5s"}


def docker(*args: str) -> str:
    """Raises CalledProcessError with what Docker said."""
    return subprocess.run(("docker", *args), check=True, capture_output=True, text=True).stdout.strip()


def engine_answers() -> bool:
    return subprocess.run(("docker", "version"), capture_output=True).returncode == 0


@dataclass
class Containers:
    """`folder`: where the compose file and its parts are written."""

    folder: Path
    project: str = field(default_factory=lambda: f"warren-mttr-{os.getpid()}")
    starts: dict[str, list[float]] = field(default_factory=dict)
    """Wall-clock times of Docker's start events, by victim."""
    dies: dict[str, list[float]] = field(default_factory=dict)
    polled: list[float] = field(default_factory=list)

    async def measure(self, repeats: int, *, quick: bool) -> list[Row]:
        port = _free_port()
        file = self._compose_file(port)
        compose = ("compose", "--project-name", self.project, "--file", str(file))
        await asyncio.to_thread(docker, "build", "-q", "-t", IMAGE, "-f", str(ROOT / "infra/Dockerfile"), str(ROOT))
        try:
            await asyncio.to_thread(docker, *compose, "up", "-d")
            async with client(f"amqp://bench:bench@127.0.0.1:{port}/") as asking:
                for victim in (WARREN, ALWAYS, POLLER):
                    await asking.ready(victim, within_s=UP_S)
                beside = [asyncio.create_task(self._follow()), asyncio.create_task(self._poll())]
                try:
                    return [row async for row in self._rows(asking, repeats, quick=quick)]
                finally:
                    for task in beside:
                        task.cancel()
        finally:
            await asyncio.to_thread(docker, *compose, "down", "--volumes", "--timeout", "2")

    async def _rows(self, asking: Client, repeats: int, *, quick: bool) -> Any:
        for kind in KINDS[:1] + KINDS[2:3] if quick else KINDS:
            rows = [Row("docker", kind, by) for by in (WARREN, ALWAYS, POLLER)]
            for number in range(repeats):
                for row in rows:
                    slow = row.by == POLLER and kind == "SIGSTOP" and number >= SLOW
                    if not row.never and not slow and not (quick and row.by == ALWAYS):
                        await self._repeat(asking, row)
            for row in rows:
                if row.took or row.never:
                    yield row

    async def _repeat(self, asking: Client, row: Row) -> None:
        took = await self._strike(asking, row)
        if took is None:
            row.never = True
            with contextlib.suppress(subprocess.CalledProcessError):
                docker("unpause", self._name(row.by))
            with contextlib.suppress(subprocess.CalledProcessError):
                docker("kill", self._name(row.by))
            docker("start", self._name(row.by))
        else:
            row.took.append(took)

    async def _strike(self, asking: Client, row: Row) -> Took | None:
        await asking.ready(row.by, within_s=UP_S)
        if row.by == WARREN:
            await self._healthy(row.by)
        if row.by == POLLER:  # at any moment of its five seconds
            await asyncio.sleep(random.uniform(0, POLL_S))
        began, wall = time.monotonic(), time.time()
        await asyncio.to_thread(self._hit, row.kind, self._name(row.by))
        answer = await asking.ask(row.by)
        try:
            async with asyncio.timeout(BACK_S):
                handled = await answer - began
                while not any(at > wall for at in self.starts.get(row.by, [])):
                    await asyncio.sleep(0.01)
        except TimeoutError:
            return None
        up = next(at for at in self.starts[row.by] if at > wall) - wall
        return Took(min(up, handled), handled, self._detected(row.by, wall))  # a restart thaws what was paused

    def _hit(self, kind: str, name: str) -> None:
        if kind == "docker kill":
            docker("kill", name)
        elif kind == "docker pause":
            docker("pause", name)
        else:  # from the host; without an init the container's first process is ours
            os.kill(int(docker("inspect", "-f", "{{.State.Pid}}", name)), signal.Signals[kind])

    def _detected(self, by: str, wall: float) -> float | None:
        if by == WARREN:
            said = subprocess.run(
                ("docker", "logs", "--since", f"{wall:.3f}", self._name("watchdog")), capture_output=True, text=True
            )
            return detected((said.stdout + said.stderr).splitlines(), wall)
        moments = self.polled if by == POLLER else self.dies.get(by, [])
        return next((at - wall for at in moments if at > wall), None)

    async def _healthy(self, by: str) -> None:
        async with asyncio.timeout(UP_S):
            while docker("inspect", "-f", "{{.State.Health.Status}}", self._name(by)) != "healthy":
                await asyncio.sleep(0.2)

    async def _follow(self) -> None:
        """Docker's own events say when containers die and start."""
        filters = (f"label=com.docker.compose.project={self.project}", "event=start", "event=die")
        args = ("docker", "events", "--format", "{{json .}}", *(part for f in filters for part in ("--filter", f)))
        process = await asyncio.create_subprocess_exec(*args, stdout=subprocess.PIPE)
        try:
            assert process.stdout
            async for line in process.stdout:
                event = json.loads(line)
                victim = event["Actor"]["Attributes"]["com.docker.compose.service"].removeprefix("victim-")
                kept = self.starts if event["status"] == "start" else self.dies
                kept.setdefault(victim, []).append(event["timeNano"] / 1e9)
        finally:
            process.kill()

    async def _poll(self) -> None:
        """Every five seconds: starts what has exited, restarts what is unhealthy."""
        name = self._name(POLLER)
        while True:
            await asyncio.sleep(POLL_S)
            look = "{{.State.Status}} {{.State.Health.Status}}"
            state, health = (await asyncio.to_thread(docker, "inspect", "-f", look, name)).split()
            if state == "exited" or health == "unhealthy":
                self.polled.append(time.time())
                await asyncio.to_thread(docker, "restart", "--time", "0", name)

    def _name(self, service: str) -> str:
        return f"{self.project}-{service if service == 'watchdog' else f'victim-{service}'}-1"

    def _compose_file(self, port: int) -> Path:
        (self.folder / "tree.toml").write_text(TREE)
        (self.folder / "rabbitmq.conf").write_text("listeners.tcp.default = 5672\nloopback_users = none\n"
                                                   "default_user = bench\ndefault_pass = bench\n")  # fmt: skip
        (self.folder / "enabled_plugins").write_text("[].\n")
        for path in self.folder.iterdir():
            if path.is_file():
                path.chmod(0o644)
        self.folder.chmod(0o755)
        services = dict(_services(self.folder, self.project, port))
        volume = {"driver_opts": {"type": "tmpfs", "device": "tmpfs", "o": "size=4m,mode=1777"}}
        file = self.folder / "compose.json"
        file.write_text(json.dumps({"services": services, "volumes": {"beats": volume}}))
        return file


def _services(folder: Path, project: str, port: int) -> Iterator[tuple[str, dict[str, Any]]]:
    url = "amqp://bench:bench@rabbitmq:5672/"
    ours = {"image": IMAGE, "stop_grace_period": "2s", "restart": "no",
            "volumes": ["beats:/run/warren", f"{ROOT}/benchmarks:/bench:ro"],
            "environment": {"WARREN_AMQP_URL": url, "WARREN_BEAT_FILE": "/run/warren"}}  # fmt: skip
    beat = 'test -n "$$(find /run/warren/$$(cat /etc/hostname) -newermt "-5 seconds")"'
    health = {"test": ["CMD-SHELL", beat], **AUTOHEAL}
    yield "rabbitmq", {
        "image": "rabbitmq:4.3-management",
        "hostname": "rabbitmq",
        "command": ["sh", "-c", "PATH=/usr/lib/rabbitmq/bin:$$PATH exec rabbitmq-server"],
        "user": "rabbitmq",
        "stop_grace_period": "5s",
        "volumes": [f"{folder}/rabbitmq.conf:/etc/warren/rabbitmq.conf:ro",
                    f"{folder}/enabled_plugins:/etc/warren/enabled_plugins:ro"],
        "environment": {"RABBITMQ_CONFIG_FILE": "/etc/warren/rabbitmq.conf",
                        "RABBITMQ_ENABLED_PLUGINS_FILE": "/etc/warren/enabled_plugins"},
        "ports": [f"127.0.0.1:{port}:5672"],
    }  # fmt: skip
    for by in (WARREN, ALWAYS, POLLER):
        labels = {"warren.supervise.id": "victim"} if by == WARREN else {}
        policy = "always" if by == ALWAYS else "no"
        yield f"victim-{by}", {**ours, "command": ["python", "/bench/victim.py", by], "restart": policy,
                               "labels": labels, "healthcheck": health}  # fmt: skip
    yield "socket-proxy", {
        **ours, "command": ["python", "-m", "services.watchdog.socket_proxy"], "user": "0",
        "volumes": ["beats:/run/warren", "/var/run/docker.sock:/var/run/docker.sock"],
        "environment": {"WARREN_COMPOSE_PROJECT": project},
    }  # fmt: skip
    yield "watchdog", {
        **ours, "command": ["python", "-m", "services.watchdog"],
        "volumes": ["beats:/run/warren", f"{folder}/tree.toml:/tree.toml:ro"],
        "environment": {"WARREN_MODE": "docker", "WARREN_AMQP_URL": url, "WARREN_TREE": "/tree.toml",
                        "DOCKER_HOST": "tcp://socket-proxy:2375", "WARREN_COMPOSE_PROJECT": project,
                        "WARREN_BEATS": "/run/warren"},
        "depends_on": ["socket-proxy", f"victim-{WARREN}"],
    }  # fmt: skip


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
