"""An ended goal runs again from a step; a refused goal is corrected and accepted."""

import json

from tests.e2e.process.mesh import Mesh, check

GOAL = "Which lamp can be seen for 18 miles?"


def test_a_goal_that_failed_for_want_of_an_engine_is_done_with_another(mesh: Mesh, shelf: str) -> None:
    failed = mesh.warren("ask", GOAL, "--corpus", shelf, "--engine", "ollama/no-such-model", "--json")
    assert failed.returncode == 1, failed.stderr
    goal_id = json.loads(failed.stdout)["goal_id"]
    again = mesh.warren("retry", goal_id[:8], "--engine", "extractive", "--json")
    assert again.returncode == 0, again.stderr + mesh.logs()
    report = check(mesh.home / "reports" / goal_id)
    assert json.loads(again.stdout) == report
    assert (report["status"], report["engine"]) == ("done", "extractive")
    assert "18 miles" in report["report"]
    assert mesh.warren("verify", str(mesh.home / "reports" / goal_id)).returncode == 0
    watched = mesh.warren("watch", goal_id)
    assert watched.returncode == 0, watched.stderr
    assert "report complete" in watched.stderr, "the end of the first run is not the end"


def test_only_what_is_done_again_costs_model_calls(mesh: Mesh, shelf: str) -> None:
    mesh.play(latency_s=0)
    goal = mesh.json("ask", f"{GOAL} When do pilot boats leave?", "--corpus", shelf, "--engine", "scripted")
    before = mesh.calls(goal["goal_id"])
    again = mesh.warren("retry", goal["goal_id"], "--from", "write", "--json")
    assert again.returncode == 0, again.stderr + mesh.logs()
    more = mesh.calls(goal["goal_id"])[len(before) :]
    assert {call.split("/")[0] for call in more} == {"write"}
    told = mesh.warren("retry", goal["goal_id"], "--from", "s9")
    assert (told.returncode, "no step 's9'" in told.stderr) == (1, True)
    mesh.play(latency_s=1)


def test_a_refused_goal_is_corrected_on_the_command_line(mesh: Mesh, shelf: str) -> None:
    """Planned by hand, its steps run in a circle: that is seen by the planner only."""
    circle = {"goal": GOAL, "corpus": shelf, "steps": [{"id": "a", "question": GOAL, "depends_on": ["a"]}]}
    assert mesh.warren("publish", stdin=json.dumps(circle)).stdout
    letter = next(d for d in mesh.json("dead", "list") if "depends_on runs in a circle" in d["reason"])
    wrong = mesh.warren("dead", "edit", letter["id"], stdin='{"goal": ""}')
    assert (wrong.returncode, "goal: String should have at least 1 character" in wrong.stderr) == (2, True)
    sent = mesh.warren("dead", "edit", letter["id"], "--json", stdin=json.dumps({"goal": GOAL, "corpus": shelf}))
    assert sent.returncode == 0, sent.stderr
    assert mesh.warren("watch", json.loads(sent.stdout)["goal_id"]).returncode == 0
    assert mesh.warren("dead", "retry", letter["id"]).returncode == 1, "it is gone"
