"""The simulator as a test: the guarantees hold in many schedules, a seed is a schedule, planted bugs are found."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATCHES = sorted((Path(__file__).parent / "patches").glob("*.patch"))
FLOOR = 2000
"""Fewer schedules than this show too little. Two cores with nothing else to do run all 10,000."""
SECONDS = float(os.environ.get("WARREN_SIM_SECONDS", "450"))
LATEST_S = 60
"""What may pass between that moment and the end: the schedules that have begun, and the start."""


def simulate(*arguments: str, folder: Path = ROOT, within_s: float = 240) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.sim", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=within_s)


@pytest.mark.timeout(SECONDS + LATEST_S + 10)
def test_the_guarantees_hold_in_every_schedule_that_time_allows(capsys: pytest.CaptureFixture[str]) -> None:
    """10,000 at most, for WARREN_SIM_SECONDS: most of the lane's time. It says how many there were."""
    wanted = ("--schedules", "10000", "--seconds", str(SECONDS), "--floor", str(FLOOR))

    ran = simulate(*wanted, within_s=SECONDS + LATEST_S)

    with capsys.disabled():
        print(f"\n{ran.stdout}")
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_seed_is_always_the_same_schedule() -> None:
    first, second = simulate("--seed", "472"), simulate("--seed", "472")

    assert first.returncode == 0, first.stdout[-2000:] + first.stderr
    assert _without_ids(first.stdout) == _without_ids(second.stdout)
    assert "KILL" in first.stdout or "CUT" in first.stdout or "FREEZE" in first.stdout


@pytest.mark.timeout(200)
@pytest.mark.parametrize("patch", PATCHES, ids=lambda path: path.stem)
def test_a_planted_bug_is_found(patch: Path, tmp_path: Path) -> None:
    for part in ("services", "shared", "infra", "tests/sim"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    alone = os.environ | {"GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    subprocess.run(["git", "apply", "-p1", str(patch)], cwd=tmp_path, env=alone, check=True)

    ran = simulate("--schedules", "2000", "--seconds", "180", "--until-failure", folder=tmp_path)

    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert re.search(r"FAILED seed \d+: .+\n +replay: python -m tests.sim --seed \d+", ran.stdout), ran.stdout


def _without_ids(trace: str) -> list[str]:
    """Log lines may name random addresses; what happened, when and to whom may not differ."""
    return [line[:110] for line in trace.splitlines()]
