"""Reads the sign of life that a child's event loop writes every half second (`shared/runtime/heartbeat.py`)."""

from __future__ import annotations

from pathlib import Path

from services.watchdog.liveness import Beat
from services.watchdog.state_file import read_json


def read_beat(path: Path, *, pid: int) -> Beat | None:
    """The latest beat of this process; None if it has not beaten yet (a file of another pid is an old one)."""
    value = read_json(path)
    at = value.get("at")
    if value.get("pid") != pid or not isinstance(at, int | float):
        return None
    engine = value.get("engine")
    return Beat(float(at), value.get("ready") is True, str(value.get("reason") or ""), engine and str(engine))
