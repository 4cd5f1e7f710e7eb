"""benchmarks/mttr, in short: a killed and a hanging service handle messages again, and the figures are there."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SLOW = 10
"""Tests hold on a machine that is much slower than the one the goals are for."""


def test_a_killed_and_a_stopped_service_are_back_within_their_goals(tmp_path: Path) -> None:
    figures = tmp_path / "mttr.json"
    command = [sys.executable, str(ROOT / "benchmarks/mttr.py"), "--mode", "process", "--quick", "--json", str(figures)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert figures.exists(), ran.stdout + ran.stderr
    rows = {row["kind"]: row for row in json.loads(figures.read_text())}
    assert rows["SIGKILL"]["repeats"] == rows["SIGSTOP"]["repeats"] == 2
    assert rows["SIGKILL"]["up_p50"] < 1.0 * SLOW
    assert 2.0 <= rows["SIGSTOP"]["up_p50"] < 4.0 * SLOW
