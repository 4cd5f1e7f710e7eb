"""Anything may be killed at any time during a goal: it ends done, and no model call is made twice that had finished."""

import json
import os
import signal
from collections import Counter

import pytest

from tests.e2e.process.mesh import GOAL_S, Mesh, check
from tests.integration.waiting import wait_until

VICTIMS = ("researcher", "planner", "memory", "inference", "writer", "broker", "watchdog")


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_goal_survives_the_death_of(victim: str, mesh: Mesh, shelf: str) -> None:
    mesh.play(latency_s=2)
    text = f"Which lamp burns gas? How many oarsmen does a pilot boat carry? ({victim})"
    event = "writing_started" if victim == "writer" else "step_claimed"
    with mesh.asking(text, "--corpus", shelf, "--engine", "scripted", "--json") as asking:
        goal_id = mesh.goal_that_says(event, text=text)
        old = mesh.kill(victim)
        out, err = asking.communicate(timeout=GOAL_S)
        assert asking.returncode == 0, err + mesh.logs()
    report = check(mesh.home / "reports" / goal_id)
    assert json.loads(out)["status"] == report["status"] == "done"
    assert "gas" in report["report"]
    mesh.await_restart(victim, old)
    twice = [call for call, times in Counter(mesh.calls(goal_id)).items() if times > 1]
    # The calls in flight when inference itself died are made again (one per question); no other is.
    assert len(twice) <= (2 if victim == "inference" else 0), twice


def test_the_redelivered_step_is_claimed_with_a_new_fence(mesh: Mesh, shelf: str) -> None:
    mesh.play(latency_s=8)  # the kill must find the step under way, on a loaded machine, too
    question = "When do pilot boats leave the harbour?"
    with mesh.asking(question, "--corpus", shelf, "--engine", "scripted") as asking:
        goal_id = mesh.goal_that_says("step_claimed", text=question)
        mesh.kill("researcher")
        asking.communicate(timeout=GOAL_S)
        assert asking.returncode == 0
    told = [e["event"] for e in mesh.json("show", goal_id, "--trace")["events"]]
    assert "step_redelivered" in told
    assert told.count("step_finished") == 2  # the step and the report
    assert told.count("goal_completed") == 1


def test_when_the_keeper_dies_nothing_is_left_behind(mesh: Mesh) -> None:
    mesh_two = Mesh(mesh.home.parent / "second")
    mesh_two.up()
    assert mesh_two.json("ps")
    assert mesh.warren("url").stdout != mesh_two.warren("url").stdout, "two meshes live side by side"
    pids = [c["pid"] for c in mesh_two.children() if c.get("pid")]
    keeper = json.loads((mesh_two.home / "mesh.json").read_text())["keeper_pid"]
    os.kill(keeper, signal.SIGKILL)
    wait_until(lambda: not any(_alive(pid) for pid in pids), deadline_s=50, what="no orphan is left")


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
