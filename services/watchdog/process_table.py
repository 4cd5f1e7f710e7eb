"""What Linux knows of our processes: who they are (pid and start time), and which of them are children of this home."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

END_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Found:
    """A child found in /proc. `start`: clock ticks since boot; `since`: seconds since the epoch."""

    pid: int
    start: int
    since: float
    instance: str
    keeper: str
    argv: tuple[str, ...]


def start_ticks(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None if there is none, or only its zombie."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] not in ("Z", "X") else None


def identity(pid: int) -> str:
    """A name for this one process that no later process with the same pid shares."""
    return f"{pid}-{start_ticks(pid) or 0}"


def scan(home: Path) -> list[Found]:
    """Every live child of this home, whoever is its keeper; what those children started themselves is not listed."""
    found = {one.pid: one for one in _session_leaders(home)}
    return [one for one in found.values() if not any(pid in found for pid in _ancestors(one.pid))]


def _session_leaders(home: Path) -> Iterator[Found]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        pid = int(entry.name)
        fields = _stat(pid)
        if not fields or fields[0] in ("Z", "X") or int(fields[3]) != pid:
            continue
        env = _environment(pid)
        if env.get("WARREN_HOME") == str(home) and env.get("WARREN_INSTANCE") and env.get("WARREN_KEEPER"):
            start = int(fields[19])
            yield Found(pid, start, _wall_clock(start), env["WARREN_INSTANCE"], env["WARREN_KEEPER"], _argv(pid))


def _ancestors(pid: int) -> Iterator[int]:
    while (fields := _stat(pid)) and (pid := int(fields[1])) > 1:
        yield pid


def end_group(pid: int, start: int) -> None:
    """Kills the process group of one process and waits until it is gone. Blocks for at most 5 s."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if start_ticks(pid) == start:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            select.select([pidfd], [], [], END_TIMEOUT_S)
    finally:
        os.close(pidfd)


def _stat(pid: int) -> list[str] | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _environment(pid: int) -> dict[str, str]:
    try:
        pairs = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    return dict(pair.decode(errors="replace").split("=", 1) for pair in pairs if b"=" in pair)


def _argv(pid: int) -> tuple[str, ...]:
    try:
        return tuple(Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1])
    except OSError:
        return ()


def _wall_clock(ticks: int) -> float:
    since_boot = ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - since_boot)
