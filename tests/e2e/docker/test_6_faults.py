"""The fault matrix in containers: every fault x every part, one container struck, and it runs again by itself.

A run takes an eighth of the cells, other ones each day (the test ids say which); with WARREN_SOAK=1 all. Left out:
memory taken within a broker or database, where there is no Python to take it; a loop that blocks and a failure at each
start of what is no service: the others' loops stand still when they are paused, and who fails at each start is given up
alike. What nobody can do to a process from outside it does itself (`shared/crashpoints.py`).
"""

import contextlib
import json
import os
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.e2e.docker.stack import FAULT_FILE, Stack, docker, until

ORDER = 2
pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
OURS = ("planner", "memory", "inference", "researcher", "writer", "socket-proxy", "watchdog")
KINDS = ("docker kill", "SIGKILL", "docker pause", "SIGSTOP", "OOM")
CELLS = [f"{fault}, {part}" for fault in KINDS[:3] for part in (*OURS, "rabbitmq", "postgres")]
CELLS += [f"{fault}, {part}" for fault in KINDS[3:] for part in OURS]
CELLS += ["SIGSTOP, rabbitmq", "SIGSTOP, postgres"]
CELLS += [f"{fault}, {part}" for fault in ("blocked loop", "exit 1 at start") for part in OURS[:5]]
SHARE, HEALED_S = 8, 120.0


def todays(day: int, *, whole: bool) -> list[str]:
    return CELLS if whole else CELLS[day % SHARE :: SHARE]


TODAY = todays(datetime.now(UTC).toordinal(), whole=bool(os.environ.get("WARREN_SOAK")))


def test_every_cell_has_its_day() -> None:
    assert sorted(cell for day in range(SHARE) for cell in todays(day, whole=False)) == sorted(CELLS)


@pytest.mark.parametrize("cell", TODAY)
def test_is_healed(cell: str, stack: Stack) -> None:
    fault, part = cell.split(", ")
    until(lambda: all_well(stack), deadline_s=HEALED_S, what="all run")
    victims = stack.containers(part)
    before = {victim: started(victim) for victim in victims}
    if fault == "exit 1 at start":
        fails_to_start(stack, part, victims[0])
    elif fault == "blocked loop":
        misbehaves(f"{part}!block", victims[0])
    else:
        strike(fault, victims[0])
    struck = victims if fault == "blocked loop" else victims[:1]  # the first of them to look blocks

    def again() -> bool:
        return any(started(one) > before[one] and running(one) for one in struck)

    until(again, deadline_s=HEALED_S, what=f"{part} runs again")
    until(lambda: all_well(stack), deadline_s=HEALED_S, what="all run")
    report = stack.json("ask", "How do RabbitMQ and Kafka differ?", "--corpus", "brokers", "--engine", "extractive")
    assert report["status"] == "done"


def misbehaves(what: str, victim: str) -> None:
    """Written by the victim's own user, who may take it away again."""
    docker("exec", victim, "sh", "-c", f"echo '{what}' > {FAULT_FILE}")


def fails_to_start(stack: Stack, part: str, victim: str) -> None:
    """Until it is given up; then it is let go, and starts."""
    user = docker("inspect", "-f", "{{.Config.User}}", victim).strip()
    misbehaves(f"{part}!exit", victim)
    docker("kill", victim)
    until(lambda: "quarantined" in states(stack, part), deadline_s=HEALED_S, what=f"{part} is in quarantine")
    beats = f"{stack.project}_beats:{Path(FAULT_FILE).parent}"
    docker(
        "run", "--rm", "--network", "none", "-u", user, "-v", beats, "--entrypoint", "rm", "warren:local", FAULT_FILE
    )
    released = stack.by_hand("release", part)
    assert released.returncode == 0, released.stderr


def states(stack: Stack, part: str) -> list[str]:
    listed = stack.warren("ps", "--json")
    rows = json.loads(listed.stdout) if listed.returncode == 0 else []
    return [row["state"] for row in rows if row["service"] == part]


def strike(fault: str, container: str) -> None:
    if fault in ("docker kill", "docker pause"):
        docker(fault.removeprefix("docker "), container)
        return
    pids = [int(pid) for pid in docker("top", container, "-eo", "pid").split()[1:]]
    try:  # from the host: the processes of a container are processes of the machine
        for pid in pids:
            if fault == "OOM":
                # whoever takes the memory below, these are to die of it
                Path(f"/proc/{pid}/oom_score_adj").write_text("1000")
            else:
                with contextlib.suppress(ProcessLookupError):  # ended with its parent
                    os.kill(pid, signal.Signals[fault])
    except PermissionError:
        pytest.skip("only root reaches the processes of containers")
    if fault == "OOM":
        limit = docker("inspect", "-f", "{{.HostConfig.Memory}}", container).strip()
        subprocess.run(["docker", "exec", container, "python", "-c", f"len(b'x' * {limit})"], timeout=60, check=False)


def started(container: str) -> str:
    """Docker's time stamps sort as text."""
    return docker("inspect", "-f", "{{.State.StartedAt}}", container).strip()


def running(container: str) -> bool:
    return docker("inspect", "-f", "{{.State.Status}}", container).strip() == "running"


def all_well(stack: Stack) -> bool:
    """Everything supervised is healthy, and the watchdog says so. A model server beside them is not supervised."""
    ours = ("--filter", f"label=com.docker.compose.project={stack.project}", "--filter", "label=warren.supervise.id")
    up = docker("ps", *ours, "--filter", "status=running", "--format", "{{.Status}}").splitlines()
    listed = stack.warren("ps", "--json")
    return (
        all("(healthy)" in status for status in up)
        and listed.returncode == 0
        and listed.stdout.count('"state": "running"') >= len(up)
    )
