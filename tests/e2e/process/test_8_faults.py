"""The fault matrix of process mode: every fault x every part, each healed, or quarantined and released.

A run takes a sixth of the cells, other ones each day (the test ids say which); `make soak` takes all. What nobody can
do to a process from outside (block its loop, exhaust its memory, make it fail to start) it does itself, told by a file:
`shared/crashpoints.py`.
"""

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.watchdog.rabbitmq_server import find_server
from tests.crash.crashing import CrashingMesh
from tests.integration.waiting import wait_until

SERVICES = ("planner", "memory", "inference", "researcher", "writer")
SIGNALS, FROM_WITHIN = ("SIGKILL", "SIGSTOP"), ("block", "memory", "exit")
CELLS = [f"{fault} {part}" for fault in SIGNALS for part in (*SERVICES, "watchdog")]
CELLS += ["SIGKILL broker", "SIGSTOP broker", *(f"{fault} {part}" for fault in FROM_WITHIN for part in SERVICES)]
SHARE, HEALED_S = 6, 90.0


def todays(day: int, *, whole: bool) -> list[str]:
    return CELLS if whole else CELLS[day % SHARE :: SHARE]


TODAY = todays(datetime.now(UTC).toordinal(), whole=bool(os.environ.get("WARREN_SOAK")))


def test_every_cell_has_its_day() -> None:
    assert sorted(cell for day in range(SHARE) for cell in todays(day, whole=False)) == sorted(CELLS)
    assert len(CELLS) == 29


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CrashingMesh]:
    if find_server() is None:
        pytest.skip("no rabbitmq-server on this machine (infra/setup --broker installs it)")
    mesh = CrashingMesh(tmp_path_factory.mktemp("faults") / "home")
    mesh.play(latency_s=0.1)
    mesh.up()
    yield mesh
    mesh.down()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("cell", TODAY)
def test_is_healed_or_quarantined_as_declared(cell: str, faulty: CrashingMesh, tmp_path: Path) -> None:
    fault, part = cell.split()
    settled(faulty)
    old = faulty.pid(part)
    if fault in SIGNALS:
        os.kill(machine(faulty) if cell == "SIGSTOP broker" else old, signal.Signals[fault])
    elif fault == "exit":
        faulty.crash_at(f"{part}!exit")
        os.kill(old, signal.SIGKILL)
        wait_until(lambda: states(faulty, part) == ["quarantined"], deadline_s=HEALED_S, what="a quarantine")
        faulty.crash_file.unlink()
        released = faulty.warren("release", part)
        assert released.returncode == 0, released.stderr
    else:
        faulty.crash_at(f"{part}!{fault}")
        wait_until(lambda: not faulty.crash_file.exists(), deadline_s=HEALED_S, what=f"{part} misbehaves")
    wait_until(lambda: healed(faulty, part, old), deadline_s=HEALED_S, what=f"{part} is back\n{faulty.logs()}")
    settled(faulty)
    (tmp_path / "note.md").write_text("# Note\n\nThe harbour master keeps 41 ledgers in the loft.\n")
    question = "How many ledgers does the harbour master keep in the loft?"
    answer = faulty.warren("ask", question, "--corpus", str(tmp_path), "--engine", "scripted", "--json")
    assert answer.returncode == 0, answer.stderr + faulty.logs()
    assert "41 ledgers" in answer.stdout


def machine(mesh: CrashingMesh) -> int:
    """The broker's own process: the one that `ps` shows only holds its leash."""
    return int((mesh.home / "broker" / "node.pid").read_text())


def states(mesh: CrashingMesh, service: str) -> list[str]:
    return [row["state"] for row in mesh.children() if row["service"] == service]


def healed(mesh: CrashingMesh, service: str, old: int) -> bool:
    rows = [row for row in mesh.children() if row["service"] == service]
    return bool(rows) and all(row["state"] == "running" and row.get("pid") not in (None, old) for row in rows)


def settled(mesh: CrashingMesh) -> None:
    """Everything runs: a fault done to one that is starting would be another fault."""
    wait_until(lambda: {row["state"] for row in mesh.children()} == {"running"}, deadline_s=HEALED_S, what="all run")
