"""A goal becomes a report in which every citation holds; and odd folders give honest results."""

import json
import os
from pathlib import Path

import pytest
from reportlab.pdfgen.canvas import Canvas

from tests.e2e.process.mesh import Mesh, check

GOAL = "How do the north lamp and the south lamp differ?"


def test_a_goal_becomes_a_report_in_which_every_citation_holds(mesh: Mesh, shelf: str) -> None:
    answer = mesh.warren("ask", GOAL, "--corpus", shelf, "--json")
    assert answer.returncode == 0, answer.stderr
    printed = json.loads(answer.stdout)
    report = check(mesh.home / "reports" / printed["goal_id"])
    assert printed == report
    assert report["status"] == "done"
    assert report["engine"] == "extractive"
    assert "no model" in report["engine_reason"]
    assert report["report"].startswith("engine: extractive - no model")
    assert {"12 miles", "18 miles"} <= {m for m in ("12 miles", "18 miles") if m in report["report"]}
    assert report["stats"]["citations"] == report["stats"]["verified"] == len(report["citations"]) > 0


def test_anyone_can_verify_the_bundle_and_a_changed_one_is_found(mesh: Mesh, shelf: str, tmp_path: Path) -> None:
    answer = mesh.warren("ask", GOAL, "--corpus", shelf, "--json", "--out", str(tmp_path / "bundle"))
    assert answer.returncode == 0, answer.stderr
    assert mesh.warren("verify", str(tmp_path / "bundle")).returncode == 0
    source = next((tmp_path / "bundle" / "sources").iterdir())
    source.write_text(source.read_text().replace("lamp", "limp"))
    assert mesh.warren("verify", str(tmp_path / "bundle")).returncode == 1


def test_what_nothing_answers_is_said_plainly_and_cited_by_nothing(mesh: Mesh, shelf: str) -> None:
    report = mesh.json("ask", "What is the price of a kilogram of saffron in Lisbon?", "--corpus", shelf)
    assert report["status"] == "done"
    assert report["citations"] == []
    assert report["not_found"]


def test_dry_run_prints_the_plan_and_what_it_costs(mesh: Mesh, shelf: str) -> None:
    before = len(mesh.json("goals"))
    answer = mesh.warren("ask", "What is a pilot boat? When do boats leave?", "--corpus", shelf, "--dry-run")
    assert answer.returncode == 0
    assert "When do boats leave?" in answer.stdout
    assert "0 model calls" in answer.stdout
    assert len(mesh.json("goals")) == before


def test_a_corpus_that_is_not_there_is_named(mesh: Mesh) -> None:
    answer = mesh.warren("ask", "What is this?", "--corpus", "no-such-corpus")
    assert answer.returncode == 1
    assert "no-such-corpus" in answer.stderr + answer.stdout


def test_a_later_goal_cites_the_original_sources_of_earlier_findings(mesh: Mesh, shelf: str) -> None:
    space = "remembering"
    first = mesh.json("ask", GOAL, "--corpus", shelf, "--namespace", space)
    found = mesh.json("memory", "list", "--namespace", space)
    assert {f["goal_id"] for f in found} == {first["goal_id"]}
    second = mesh.json("ask", "How far can the south lamp be seen?", "--corpus", shelf, "--namespace", space)
    assert "18 miles" in second["report"]
    assert {c["source"] for c in second["citations"]} <= {"lamps.md", "boats.txt"}


def test_odd_files_are_skipped_with_their_reasons_and_the_rest_answers(mesh: Mesh, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "good.md").write_text("# Tides\n\nThe spring tide rises 5.2 metres at the pier in March.\n")
    (folder / "binary.txt").write_bytes(os.urandom(4000))
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n")
    (folder / "empty.md").write_text("")
    scan = Canvas(str(folder / "scan.pdf"))
    scan.rect(50, 50, 400, 600, fill=1)
    scan.save()
    with (folder / "huge.txt").open("wb") as huge:
        huge.truncate(200 * 1024 * 1024)
    hidden = folder / "unreadable.md"
    hidden.write_text("secret")
    hidden.chmod(0)
    answer = mesh.warren("corpus", "add", "odd", str(folder), "--json")
    assert answer.returncode == 0, answer.stderr
    result = json.loads(answer.stdout)
    skipped = {s["name"]: s["reason"] for s in result["skipped"]}
    expected = {"binary.txt", "empty.md", "scan.pdf", "huge.txt"} | ({"unreadable.md"} if os.getuid() else set())
    assert expected <= skipped.keys()
    assert "text layer" in skipped["scan.pdf"]
    report = mesh.json("ask", "How high is the spring tide?", "--corpus", "odd")
    assert "5.2 metres" in report["report"]


def test_an_empty_folder_is_told_to_be_empty(mesh: Mesh, tmp_path: Path) -> None:
    answer = mesh.warren("ask", "What is in it?", "--corpus", str(tmp_path), "--json")
    assert "0 documents" in answer.stderr, answer.stderr
    report = json.loads(answer.stdout)
    assert report["citations"] == []
    assert "0 documents" in " ".join(report["not_found"])


def test_a_folder_that_changed_sends_only_the_change(mesh: Mesh, tmp_path: Path) -> None:
    for n in range(5):
        (tmp_path / f"{n}.txt").write_text(f"Page number {n} says that buoy {n} is painted red and green.\n")
    assert mesh.json("corpus", "add", "pages", str(tmp_path))["added"] == 5
    (tmp_path / "0.txt").unlink()
    (tmp_path / "1.txt").write_text("Page number 1 says that buoy 1 is painted white.\n")
    again = mesh.json("corpus", "add", "pages", str(tmp_path))
    counted = {k: again[k] for k in ("added", "changed", "unchanged", "removed")}
    assert counted == {"added": 0, "changed": 1, "unchanged": 3, "removed": 1}


@pytest.mark.parametrize("bad", ["", "not json at all {"])
def test_goals_from_stdin_are_published_or_named_by_line(mesh: Mesh, shelf: str, bad: str) -> None:
    good = json.dumps({"goal": "When do pilot boats leave?", "corpus": shelf})
    answer = mesh.warren("publish", stdin=f"{good}\n{bad}\n")
    ids = [line.split()[0] for line in answer.stdout.splitlines() if line.strip()]
    assert ids, answer.stderr
    assert mesh.warren("watch", ids[0]).returncode == 0


def test_cancel_ends_a_goal(mesh: Mesh, shelf: str) -> None:
    mesh.play(latency_s=60)
    with mesh.asking("Which lamp burns gas?", "--corpus", shelf, "--engine", "scripted") as asking:
        goal_id = mesh.goal_that_says("step_dispatched", text="Which lamp burns gas?")
        assert mesh.warren("cancel", goal_id).returncode == 0
        asking.communicate(timeout=60)
        assert asking.returncode == 4
    mesh.play(latency_s=1)


def test_no_mesh_is_exit_code_5(mesh: Mesh) -> None:
    assert mesh.warren("goals", "--url", "amqp://warren:x@127.0.0.1:9/").returncode == 5
