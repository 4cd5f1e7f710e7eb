"""The way to Docker is gone, or the broker: what the watchdog then does, knows and says."""

import contextlib
import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.docker.stack import Stack, Witness, docker, until

ORDER = 5
SOON_S = 120.0
pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]


@pytest.fixture
def witness(stack: Stack, tmp_path: Path) -> Iterator[Witness]:
    witness = Witness(stack.project, tmp_path / "events.jsonl")
    yield witness
    witness.end()


def starts(witness: Witness, since: float) -> list[str]:
    """The supervised services whose containers were started since then, one for each start."""
    told = [event["Actor"]["Attributes"] for event in witness.events(since) if event["status"] == "start"]
    return sorted(one["com.docker.compose.service"] for one in told if "warren.supervise.id" in one)


def warren(stack: Stack, *words: str) -> tuple[str, str]:
    done = stack.by_hand(*words)
    return (done.stdout, done.stderr) if done.returncode == 0 else ("", done.stderr)


def all_run(stack: Stack) -> bool:
    rows = json.loads(warren(stack, "ps", "--json")[0] or "[]")
    return bool(rows) and {row["state"] for row in rows} == {"running"} and not any(row.get("reason") for row in rows)


def restarts(stack: Stack) -> dict[str, int]:
    """How often each instance was restarted until now."""
    return {row["instance"]: row["restarts"] for row in json.loads(warren(stack, "ps", "--json")[0])}


def test_both_socket_proxies_crash_at_once_and_docker_brings_them_back(stack: Stack, witness: Witness):
    until(lambda: all_run(stack), deadline_s=SOON_S, what="all run")
    proxies, since = stack.containers("socket-proxy"), time.time()
    for pid in docker("inspect", "-f", "{{.State.Pid}}", *proxies).split():
        try:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        except PermissionError:
            pytest.skip("only root reaches the processes of containers")
    until(lambda: starts(witness, since) == ["socket-proxy"] * 2, deadline_s=SOON_S, what="both are back")
    docker("kill", stack.containers("researcher")[0])
    until(lambda: "researcher" in starts(witness, since), deadline_s=SOON_S, what="the watchdog reaches Docker again")
    until(lambda: all_run(stack), deadline_s=SOON_S, what="all run")
    assert starts(witness, since) == ["researcher", "socket-proxy", "socket-proxy"]


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_without_any_proxy_nobody_is_restarted_and_it_is_said_and_made_good_later(
    stack: Stack, witness: Witness, how: str
):
    """Docker's restart policy gives way to `docker kill` as to `docker stop`, and so it must: people win."""
    until(lambda: all_run(stack), deadline_s=SOON_S, what="all run")
    since = time.time()
    docker(how, *stack.containers("socket-proxy"))
    docker("kill", *stack.containers("writer"))
    said = "no socket proxy answers since .* nobody is restarted until `docker compose up -d`"
    until(lambda: re.search(said, warren(stack, "tree")[0]), deadline_s=SOON_S, what="the tree says so")
    assert re.search(said, warren(stack, "ps")[0])
    assert starts(witness, since) == []
    stack.compose("up", "-d", "--no-recreate", "--no-deps", "--scale", "socket-proxy=2", "socket-proxy")
    until(lambda: all_run(stack), deadline_s=SOON_S, what="all run")
    assert starts(witness, since) == ["socket-proxy", "socket-proxy", "writer"]


def test_without_a_broker_tree_and_ps_tell_what_the_watchdog_knows(stack: Stack, witness: Witness):
    until(lambda: all_run(stack), deadline_s=SOON_S, what="all run")
    since, before = time.time(), restarts(stack)  # tests before this one have killed it
    stack.compose("stop", "rabbitmq")
    held = re.compile(r"- rabbitmq-1 held( · restarted \d+x)? · stopped by you")

    seen: list[str] = []

    def told() -> bool:
        drawn, said = warren(stack, "tree")
        seen[:] = [drawn, said]
        return bool(held.search(drawn)) and "the broker is away since" in said

    try:
        until(told, deadline_s=SOON_S, what="the tree, and since when the broker is away")
    except AssertionError as error:
        raise AssertionError("\n".join([str(error), *seen])) from error
    rows, said = warren(stack, "ps", "--json")
    states = {row["instance"]: row["state"] for row in json.loads(rows)}
    assert states.pop("rabbitmq-1") == "held"
    assert set(states.values()) == {"running"}
    assert {row["instance"]: row["restarts"] for row in json.loads(rows)} == before
    assert "the broker is away since" in said
    stack.compose("start", "rabbitmq")
    until(lambda: all_run(stack), deadline_s=SOON_S, what="all run")
    assert starts(witness, since) == ["rabbitmq"]
