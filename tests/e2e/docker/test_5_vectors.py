"""OTP's vectors 1, 2, 4, 5, 12 and 16 (tests/unit/watchdog/test_otp_vectors.py) with real containers: the watchdog and
the socket proxy as processes of their own, no broker at all, and Docker's own events as the witness."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest

from tests.e2e.docker.stack import Witness, free_port
from tests.integration.engines import need_docker
from tests.integration.waiting import wait_until

ROOT = Path(__file__).parents[3]
IMAGE = "python:3.13-slim"
SERVICES = ("planner", "researcher", "writer", "memory")
LIVES = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
DEADLINE_S = 60.0
GAVE_UP = 70
pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


def docker(*words: str) -> str:
    return subprocess.run(("docker", *words), check=True, capture_output=True, text=True, timeout=120).stdout.strip()


@dataclass
class Field:
    """Four containers as compose would have made them, and a watchdog over them by this tree."""

    home: Path
    project: str = field(default_factory=lambda: f"warren-tv-{uuid4().hex[:8]}")
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.witness = Witness(self.project, self.home / "events.jsonl")

    def create(self, **commands: str) -> None:
        for service in SERVICES:
            labels = {"com.docker.compose.project": self.project, "com.docker.compose.container-number": "1",
                      "warren.supervise.id": service}  # fmt: skip
            words = [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]
            command = commands.get(service, LIVES)
            run = (command,) if command.startswith("/") else ("sh", "-c", command)
            docker("create", "--name", f"{self.project}-{service}", "--network", "none", *words, IMAGE, *run)

    def watch(self, root: str) -> subprocess.Popen[bytes]:
        """Starts the proxy, once, and a watchdog; `root`: the fields of the root group."""
        rows = "".join(f'[[children]]\nservice = "{service}"\nshutdown_ms = 20000\n' for service in SERVICES)
        (self.home / "tree.toml").write_text(f"{root}\n{rows}")
        if not self.processes:
            self.port = free_port()
            self._run("services.watchdog.socket_proxy", WARREN_BIND_HOST="127.0.0.1", WARREN_BIND_PORT=str(self.port))
        return self._run("services.watchdog", WARREN_MODE="docker", DOCKER_HOST=f"tcp://127.0.0.1:{self.port}",
                         WARREN_TREE=str(self.home / "tree.toml"))  # fmt: skip

    def _run(self, module: str, **more: str) -> subprocess.Popen[bytes]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("WARREN_")}
        env = {**kept, "PYTHONPATH": str(ROOT), "WARREN_HOME": str(self.home), "WARREN_COMPOSE_PROJECT": self.project,
               "WARREN_AMQP_URL": "amqp://nobody@127.0.0.1:9/", **more}  # fmt: skip
        with (self.home / f"{module}.log").open("ab") as log:
            process = subprocess.Popen([sys.executable, "-m", module], env=env, stdout=log, stderr=log, cwd=ROOT)
        self.processes.append(process)
        return process

    def events(self, since: float = 0.0) -> list[str]:
        """What happened since then: `start memory`, `die writer`, in order."""
        events = self.witness.events(since)
        return [f"{event['status']} {event['Actor']['Attributes']['warren.supervise.id']}" for event in events]

    def until(self, expected: list[str], since: float) -> None:
        try:
            wait_until(lambda: len(self.events(since)) >= len(expected), deadline_s=DEADLINE_S, what="enough events")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.events(since)}\n{self.log()}") from None
        assert self.events(since) == expected, self.log()

    def states(self) -> dict[str, tuple[str, int]]:
        try:
            rows = json.loads((self.home / "run" / "children.json").read_text())
        except (OSError, ValueError):
            return {}
        return {row["service"]: (row["state"], row["restarts"]) for row in rows if row["service"] != "watchdog"}

    def all_run(self) -> bool:
        return [state for state, _ in self.states().values()] == ["running"] * 4

    def up(self) -> None:
        wait_until(self.all_run, deadline_s=DEADLINE_S, what="four running containers")

    def kill(self, service: str) -> float:
        """The moment just before."""
        since = time.time()
        docker("kill", f"{self.project}-{service}")
        return since

    def log(self) -> str:
        return "".join(path.read_text()[-3000:] for path in self.home.glob("*.log"))

    def end(self) -> None:
        for process in self.processes[::-1]:
            process.kill()
            process.wait()
        self.witness.end()
        found = docker("ps", "-aq", "--filter", f"label=com.docker.compose.project={self.project}").split()
        if found:
            docker("rm", "-f", *found)


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Field]:
    need_docker()
    ground = Field(tmp_path)
    yield ground
    ground.end()


def test_tv1_one_for_one_starts_the_one_that_died_and_touches_no_other(ground: Field) -> None:
    ground.create()
    ground.watch('strategy = "one_for_one"')
    ground.up()
    assert ground.events() == [f"start {service}" for service in SERVICES]
    since = ground.kill("researcher")
    ground.until(["die researcher", "start researcher"], since)
    wait_until(lambda: ground.states()["researcher"] == ("running", 1), deadline_s=DEADLINE_S, what="one restart")
    assert {count for service, (_, count) in ground.states().items() if service != "researcher"} == {0}


def test_tv2_rest_for_one_stops_what_came_after_in_reverse_and_starts_it_in_order(ground: Field) -> None:
    ground.create()
    ground.watch('strategy = "rest_for_one"')
    ground.up()
    since = ground.kill("researcher")
    ground.until(
        ["die researcher", "die memory", "die writer", "start researcher", "start writer", "start memory"], since
    )


def test_tv4_the_fourth_crash_is_one_too_many_and_everything_stops_in_reverse(ground: Field) -> None:
    ground.create()
    watchdog = ground.watch("max_restarts = 3\nperiod_s = 60")  # 5 s on a slow machine would be none
    ground.up()
    for number in (1, 2, 3):
        ground.kill("researcher")
        wait_until(
            lambda number=number: ground.states()["researcher"] == ("running", number),
            deadline_s=DEADLINE_S, what=f"restart {number}",
        )  # fmt: skip
    since = ground.kill("researcher")
    assert watchdog.wait(DEADLINE_S) == GAVE_UP
    assert ground.events(since) == ["die researcher", "die memory", "die writer", "die planner"]


def test_tv5_a_crash_loop_trips_five_in_sixty_at_its_sixth_crash(ground: Field) -> None:
    ground.create(memory="sleep 0.2; exit 1")
    watchdog = ground.watch("max_restarts = 5\nperiod_s = 60")
    assert watchdog.wait(DEADLINE_S * 2) == GAVE_UP, ground.log()
    told = ground.events()
    assert told.count("die memory") == 6
    assert told.count("start memory") == 6  # the first and five restarts
    assert told[-3:] == ["die writer", "die researcher", "die planner"]


def test_tv5_a_loop_of_two_seconds_never_trips_three_in_five(ground: Field) -> None:
    ground.create(memory="sleep 2; exit 1")
    watchdog = ground.watch("max_restarts = 3\nperiod_s = 5")
    wait_until(lambda: ground.events().count("die memory") == 6, deadline_s=DEADLINE_S, what="six crashes")
    wait_until(lambda: ground.events().count("start memory") == 7, deadline_s=DEADLINE_S, what="six restarts")
    assert watchdog.poll() is None


def test_tv12_a_failure_at_boot_stops_in_reverse_what_had_started(ground: Field) -> None:
    ground.create(writer="/no/such/program")
    watchdog = ground.watch("")
    assert watchdog.wait(DEADLINE_S) == GAVE_UP, ground.log()
    told = [event for event in ground.events() if "writer" not in event]
    assert told == ["start planner", "start researcher", "die researcher", "die planner"]


def test_tv16_a_new_watchdog_adopts_all_and_restarts_once_what_died_meanwhile(ground: Field) -> None:
    ground.create()
    first = ground.watch("")
    ground.up()
    first.send_signal(signal.SIGKILL)
    first.wait()
    since = ground.kill("writer")
    before = (ground.home / "run" / "children.json").stat().st_mtime_ns
    ground.watch("")
    ground.until(["die writer", "start writer"], since)
    children = ground.home / "run" / "children.json"
    wait_until(lambda: children.stat().st_mtime_ns != before and ground.all_run(), deadline_s=DEADLINE_S, what="all")
    assert ground.events(since) == ["die writer", "start writer"]
