"""A mesh whose tree says `autoscale`: queued work makes researchers, idleness ends them, and no goal is lost."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.watchdog.rabbitmq_server import find_server
from tests.e2e.process.mesh import Mesh
from tests.integration.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]
MOST, GOALS = 3, 6
RULE = f"autoscale = {{ min = 1, max = {MOST}, queued = 2, cool_down_s = 3 }}"


class Elastic(Mesh):
    """The shipped tree, with a rule for researchers."""

    @property
    def env(self) -> dict[str, str]:
        return {**super().env, "WARREN_TREE": str(self.home.parent / "tree.toml")}

    def researchers(self) -> list[str]:
        rows = [row for row in self.children() if row["service"] == "researcher"]
        return [row["instance"] for row in rows if row["state"] == "running"]


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Elastic]:
    if find_server() is None:
        pytest.skip("no rabbitmq-server on this machine (infra/setup --broker installs it)")
    shipped = (ROOT / "infra/supervision.toml").read_text()
    row = '{ service = "researcher", replicas = 1 }'
    assert row in shipped
    (tmp_path / "tree.toml").write_text(shipped.replace(row, row.replace(" }", f", {RULE} }}")))
    mesh = Elastic(tmp_path / "home")
    mesh.play(latency_s=1.5)
    mesh.up()
    yield mesh
    mesh.down()


@pytest.mark.timeout(400)
def test_queued_work_raises_replicas_to_the_most_and_idleness_ends_them_with_no_step_lost(
    mesh: Elastic, tmp_path: Path
) -> None:
    folder = tmp_path / "shelf"
    folder.mkdir()
    (folder / "boats.txt").write_text("A pilot boat carries two oarsmen and a pilot. The north lamp burns whale oil.\n")
    assert mesh.warren("corpus", "add", "shelf", str(folder)).returncode == 0
    assert mesh.researchers() == ["researcher-1"]
    question = "What does a pilot boat carry? What does the north lamp burn? Who keeps the lamp?"
    goals = "\n".join(f"{question} ({number})" for number in range(GOALS))
    published = mesh.warren("publish", "--corpus", "shelf", "--engine", "scripted", stdin=goals)
    assert published.returncode == 0, published.stderr
    wait_until(lambda: len(mesh.researchers()) == MOST, deadline_s=90, what="replicas rise to the most")

    def ended() -> bool:
        return Counter(goal["status"] for goal in mesh.json("goals"))["done"] == GOALS

    wait_until(ended, deadline_s=200, what="all goals are done")
    wait_until(lambda: len(mesh.researchers()) == 1, deadline_s=60, what="idle researchers are ended")
    for goal in mesh.json("goals"):
        told = Counter(event["event"] for event in mesh.json("show", goal["goal_id"], "--trace")["events"])
        assert told["step_failed"] == told["step_redelivered"] == 0, told  # drained: nothing was taken from a worker
    log = [json.loads(line) for line in (mesh.home / "logs/watchdog.log").read_text().splitlines()]
    assert max(line["wanted"] for line in log if line.get("event") == "scaling") == MOST
