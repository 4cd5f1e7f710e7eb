"""Two watchdogs: one dies, the other leads and restarts it; nothing is restarted twice, and people win with both."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.docker.stack import Stack, Witness, docker, until

ORDER = 4
pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]


def leader(stack: Stack) -> str:
    """The id of the container that said last that it leads."""
    said = stack.compose("logs", "--no-color", "--timestamps", "watchdog").stdout
    lines = [line for line in said.splitlines() if '"event": "leading"' in line]
    last = max(lines, key=lambda line: re.search(r"\d{4}-\d\d-\d\dT[\d:.]+Z", line).group())
    number = re.match(r".*?watchdog-(\d+)", last).group(1)
    return docker("ps", "-aq", "--no-trunc", "--filter", f"name=^{stack.project}-watchdog-{number}$").strip()


def starts(witness: Witness, since: float) -> list[str]:
    """Names of containers of this project that were started since then, one for each start."""
    events = witness.events(since)
    return [event["Actor"]["Attributes"]["name"] for event in events if event["status"] == "start"]


def state(stack: Stack, service: str) -> list[str]:
    done = stack.warren("ps", "--json")
    rows = json.loads(done.stdout) if done.returncode == 0 else []
    return [child["state"] for child in rows if child["service"] == service]


@pytest.fixture
def witness(stack: Stack, tmp_path: Path) -> Iterator[Witness]:
    witness = Witness(stack.project, tmp_path / "events.jsonl")
    yield witness
    witness.end()


@pytest.fixture
def two(stack: Stack):
    def scale(count: int) -> None:
        stack.compose("up", "-d", "--no-recreate", "--no-deps", "--scale", f"watchdog={count}", "watchdog")

    scale(2)
    until(lambda: state(stack, "watchdog") == ["running"] * 2, deadline_s=60, what="two watchdogs in the list")
    yield stack
    scale(1)


@pytest.mark.parametrize("how", ["kill", "pause"])
def test_the_leader_falls_and_nothing_is_started_twice(two: Stack, witness: Witness, how: str):
    first, researcher, since = leader(two), two.containers("researcher")[0], time.time()
    docker(how, first)
    docker("kill", researcher)
    names = {docker("inspect", "-f", "{{.Name}}", one).strip().lstrip("/") for one in (first, researcher)}
    until(
        lambda: set(starts(witness, since)) >= names, deadline_s=60, what="the leader and the researcher started again"
    )
    until(lambda: state(two, "watchdog") == ["running"] * 2, deadline_s=60, what="both lead or follow")
    assert sorted(starts(witness, since)) == sorted(names)


def test_what_a_person_stopped_stays_down_whoever_leads(two: Stack, witness: Witness):
    since = time.time()
    two.compose("stop", "--timeout", "5", "writer")
    until(lambda: state(two, "writer") == ["held"], deadline_s=60, what="the leader knows that a person stopped it")
    docker("kill", leader(two))
    until(lambda: state(two, "watchdog") == ["running"] * 2, deadline_s=60, what="the other leads")
    assert state(two, "writer") == ["held"]
    two.compose("start", "writer")
    until(lambda: state(two, "writer") == ["running"], deadline_s=60, what="the writer is back")
    assert sum("writer" in name for name in starts(witness, since)) == 1
