"""What the commands say while no broker answers."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest

from services.cli import compose, without_broker
from services.cli.children import rows_in
from services.cli.mesh import Mesh
from services.cli.outcome import CommandFailed
from services.cli.without_broker import noted_rows, noted_tree, read_tree

NOW = datetime(2026, 11, 23, 12, 0, 30, tzinfo=UTC).timestamp()
NODES = [
    {"kind": "group", "id": "root", "state": "up", "strategy": "one_for_one", "max_restarts": 3, "period_s": 5,
     "restarts_left": 3, "last_failed": "a-1", "last_failed_reason": "exit code 3", "last_failed_ago_s": 10.0},
    {"kind": "child", "id": "a-1", "parent": "root", "state": "running", "service": "a", "uptime_s": 9.0},
    {"kind": "child", "id": "b-1", "parent": "root", "state": "held", "service": "b", "uptime_s": 0.0},
]  # fmt: skip


def written(*, at: float = NOW - 2, away_since: float | None = NOW - 90) -> str:
    return json.dumps({"at": at, "broker_away_since": away_since, "tree": {"nodes": NODES, "mode": "process"}})


def test_it_says_since_when_the_broker_is_away_and_ages_are_of_now() -> None:
    noted = read_tree(written(), now=NOW)
    assert noted
    assert re.fullmatch(
        r"the broker is away since \d\d:\d\d:\d\d \(1 min 30 s\); the watchdog noted this 2 s ago", noted.said
    ), noted.said
    root, running, held = noted.tree.nodes
    assert (root.last_failed_ago_s, running.uptime_s, held.uptime_s) == (12.0, 11.0, 0.0)


def test_a_watchdog_that_writes_no_more_is_not_taken_for_one_that_does() -> None:
    noted = read_tree(written(at=NOW - 40), now=NOW)
    assert noted
    assert noted.said.endswith("noted this 40 s ago; it has written nothing since")


def test_a_note_from_before_the_outage_says_so() -> None:
    noted = read_tree(written(away_since=None), now=NOW)
    assert noted
    assert noted.said == "the watchdog noted this 2 s ago, when the broker was there"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"at": "x"}', '{"at": 1, "tree": {"nodes": 1}}'])
def test_what_cannot_be_read_is_no_tree(text: str) -> None:
    assert read_tree(text, now=NOW) is None


def test_rows_of_containers_grow_older() -> None:
    row = {"service": "a", "instance": "a-1", "container": "abc", "state": "running", "started_at": 0.0}
    (shown,) = rows_in(json.dumps([row]))
    assert shown["uptime_s"] > 1e9
    assert rows_in("nonsense") == []


def test_in_containers_the_second_watchdog_is_read_when_the_first_is_dead(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    asked: list[str] = []

    def output(*words: str) -> str:
        asked.append(words[3])
        if words[3] == "1":
            raise CommandFailed("it does not run")
        row = {"service": "a", "instance": "a-1", "container": "abc", "state": "held", "restarts": 0}
        return written() if words[-1].endswith("tree.json") else json.dumps([row])

    monkeypatch.setattr(compose, "output", output)
    monkeypatch.setattr(without_broker.time, "time", lambda: NOW)
    mesh = Mesh("amqp://x", tmp_path_factory.mktemp("home"), "docker", ".warren/mesh.json")
    rows, said = noted_rows(mesh)
    assert [row["state"] for row in rows] == ["held"]
    assert said.startswith("the broker is away since")
    assert asked == ["1", "2", "1", "2"]


@pytest.mark.parametrize("found_by", ["--url", "WARREN_AMQP_URL"])
def test_of_a_mesh_that_was_named_by_its_broker_nothing_is_known(
    found_by: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert noted_tree(Mesh("amqp://x", tmp_path_factory.mktemp("home"), "docker", found_by)) is None
