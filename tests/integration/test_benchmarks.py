"""The benchmarks of delivery run, quickly: what they print is not looked at here, what they count is."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from services.watchdog import rabbitmq_server

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(rabbitmq_server.find_server() is None, reason="no RabbitMQ on this machine"),
]


def run(name: str, into: Path, *more: str) -> dict[str, Any]:
    file = into / f"{name}.json"
    command = [sys.executable, ROOT / "benchmarks" / f"{name}.py", "--quick", "--json", file, *more]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=390, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_a_goal_of_four_steps_has_twelve_hops_and_six_commits_on_its_path(tmp_path: Path) -> None:
    found = run("goals", tmp_path)
    steps = ["run_step.v1", "step_finished.v1"] * 5
    assert found["path"][1:] == [*steps, "goal_event.v1"]
    assert (found["hops"], found["commits"]) == (12, 6)
    assert found["commits_in_logs"]["planner"] >= 6
    assert min(found["goals_per_s"] + found["ratio"]) > 0


def test_a_chain_of_tasks_ends_with_durability_and_without(tmp_path: Path) -> None:
    found = run("per_task", tmp_path, "--only", "warren", "off")
    assert set(found["contestants"]) == {"warren", "off"}
    assert found["on_over_off"][0] > 0


def test_a_model_call_has_three_commits_and_all_ways_wait_for_the_first_token(tmp_path: Path) -> None:
    found = run("inference", tmp_path, "--at-once", "2")
    assert found["commits_in_log"] <= 3
    direct, stream = (found["at_once"]["2"][way] for way in ("direct", "stream"))
    assert 0.1 <= direct["first_p50_s"][0] < direct["p50_s"][0] - 0.2
    assert direct["first_p50_s"][0] + stream["first_p50_s"][0] >= 0.1


def test_a_planner_keeps_as_many_goals_in_flight_as_it_is_allowed(tmp_path: Path) -> None:
    found = run("in_flight", tmp_path)
    assert found["in_flight"] >= 18
    assert found["highest_mb"] > 0
