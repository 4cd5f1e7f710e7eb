"""What people and the work order: replicas that come and go, a mesh that is taken down and put up again."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.docker.stack import ROOT, Stack, Witness, docker, until

ORDER = 7
SOON_S, GOALS = 180.0, 12
CORPUS = "brokers"
RULE = "autoscale = { min = 1, max = 3, queued = 1, cool_down_s = 3 }"
pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]


@pytest.fixture
def witness(stack: Stack, tmp_path: Path) -> Iterator[Witness]:
    witness = Witness(stack.project, tmp_path / "events.jsonl")
    yield witness
    witness.end()


def started(witness: Witness, since: float) -> list[str]:
    told = [event["Actor"]["Attributes"] for event in witness.events(since) if event["status"] == "start"]
    return sorted(one["com.docker.compose.service"] for one in told if "warren.supervise.id" in one)


def states(stack: Stack) -> dict[str, str]:
    """Instance -> its state; empty while nobody answers."""
    listed = stack.warren("ps", "--json")
    return {row["instance"]: row["state"] for row in json.loads(listed.stdout)} if listed.returncode == 0 else {}


def all_run(stack: Stack) -> bool:
    return set(states(stack).values()) == {"running"}


def researchers(stack: Stack) -> int:
    return sum(name.startswith("researcher-") and state == "running" for name, state in states(stack).items())


@pytest.fixture
def elastic(stack: Stack) -> Iterator[Stack]:
    """With a rule for researchers; afterwards the tree is as it was and all of them run."""
    until(lambda: all_run(stack), deadline_s=SOON_S, what="all run")
    file = Path(stack.env["WARREN_TREE_FOLDER"]) / "supervision.toml"
    shipped = (ROOT / "infra/supervision.toml").read_text()
    row = '{ service = "researcher", replicas = 1 }'
    assert row in shipped
    file.write_text(shipped.replace(row, row.replace(" }", f", {RULE} }}")))
    reload(stack)
    yield stack
    file.write_text(shipped)
    reload(stack)
    for service in ("inference", "researcher"):
        stack.by_hand("release", service)
    until(lambda: all_run(stack), deadline_s=SOON_S, what="all run")


def reload(stack: Stack) -> None:
    done = stack.by_hand("reload")
    assert done.returncode == 0, done.stderr


def test_idle_replicas_are_stopped_and_work_starts_them_again(elastic: Stack, witness: Witness):
    until(lambda: researchers(elastic) == 1, deadline_s=SOON_S, what="idle researchers are stopped")
    assert len(elastic.containers("researcher", stopped=True)) == 3, "compose's containers stay"
    assert elastic.by_hand("stop", "inference").returncode == 0  # so that work waits
    goals = [f"How do RabbitMQ and Kafka differ? ({number})" for number in range(GOALS)]
    published = elastic.warren("publish", "--corpus", CORPUS, "--engine", "extractive", said="\n".join(goals))
    assert published.returncode == 0, published.stderr
    until(lambda: researchers(elastic) == 3, deadline_s=SOON_S, what="queued work starts all of them")
    assert elastic.by_hand("release", "inference").returncode == 0
    ended = elastic.all_ended(set(goals), deadline_s=SOON_S)
    assert {goal["status"] for goal in ended.values()} == {"done"}
    until(lambda: researchers(elastic) == 1, deadline_s=SOON_S, what="they are idle again")


def test_after_a_power_cut_what_is_wanted_starts_and_what_was_stopped_stays_down(stack: Stack, witness: Witness):
    """Every container dies in one moment, the watchdogs with them. Docker starts by its own policy what the watchdogs
    stand on, as it does when a machine boots; they start the rest."""
    until(lambda: all_run(stack), deadline_s=SOON_S, what="all run")
    assert stack.by_hand("stop", "writer").returncode == 0
    until(lambda: states(stack).get("writer-1") == "held", deadline_s=SOON_S, what="the writer is held")
    ours = ("--filter", f"label=com.docker.compose.project={stack.project}")
    wanted, up, since = states(stack), docker("ps", "--quiet", *ours).split(), time.time()
    for pid in docker("inspect", "--format", "{{.State.Pid}}", *up).split():
        try:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        except PermissionError:
            pytest.skip("only root reaches the processes of containers")
    until(lambda: states(stack) == wanted, deadline_s=SOON_S, what="what is wanted runs, the writer is held")
    assert "writer" not in started(witness, since)
    assert stack.by_hand("release", "writer").returncode == 0
    until(lambda: all_run(stack), deadline_s=SOON_S, what="all run")
    report = stack.json("ask", "How do RabbitMQ and Kafka differ?", "--corpus", CORPUS, "--engine", "extractive")
    assert report["status"] == "done"


def test_a_mesh_that_is_taken_down_by_hand_stays_down_and_comes_back_whole(stack: Stack, witness: Witness):
    until(lambda: all_run(stack), deadline_s=SOON_S, what="all run")
    since = time.time()
    stack.compose("down", "--timeout", "20")
    assert started(witness, since) == [], "nobody is restarted while the mesh is taken down"
    assert stack.containers("planner", stopped=True) == []
    stack.up("--scale", "researcher=3")
    until(lambda: all_run(stack), deadline_s=SOON_S, what="all run")
    assert started(witness, since).count("researcher") == 3, "each once, by compose"
    report = stack.json("ask", "How do RabbitMQ and Kafka differ?", "--corpus", CORPUS, "--engine", "extractive")
    assert report["status"] == "done", "and what it had stored is there"
