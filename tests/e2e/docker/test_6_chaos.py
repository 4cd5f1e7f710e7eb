"""The short chaos run in containers: whatever is killed while it works, no confirmed goal is lost, doubled or stuck."""

import json
from pathlib import Path

import pytest

from tests.chaos.options import Options
from tests.chaos.run import main

ORDER = 6


@pytest.mark.timeout(420)
def test_goals_survive_kills_of_containers(image: str, tmp_path: Path) -> None:
    options = Options(
        kills=10,
        goals=60,
        seed=60,
        target="docker",
        out=tmp_path,
        spacing_s=4,
        rate=1,
        open=30,
        seconds=120,
        calm_s=150,
    )
    assert main(options) == 0
    figures = json.loads(next(tmp_path.glob("*/chaos.json")).read_text())
    assert figures["done"] == figures["confirmed"], figures["failure_reasons"]
    assert figures["confirmed"] >= 30
    assert figures["model_calls"] > figures["confirmed"], "the containers reached the model server"
    assert figures["calls_paid_twice"] == 0
    assert figures["event_gaps"] == 0
    assert len(figures["faults"]) >= 6, "too few kills landed for this to say anything"
    assert figures["not_recovered"] == []
