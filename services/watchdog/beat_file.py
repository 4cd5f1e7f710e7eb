"""Reads the sign of life that a child's event loop writes every half second (`shared/runtime/heartbeat.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.watchdog.liveness import Beat
from services.watchdog.state_file import read_json


def read_beat(path: Path, *, pid: int) -> Beat | None:
    """The latest beat of this process; None if it has not beaten yet (a file of another pid is an old one)."""
    value = read_json(path)
    return _beat(value) if value.get("pid") == pid else None


def read_shared_beat(path: Path) -> Beat | None:
    """The same from another container, whose pids are not ours: the caller drops beats from before its start."""
    return _beat(read_json(path))


def _beat(value: Mapping[str, Any]) -> Beat | None:
    at = value.get("at")
    if not isinstance(at, int | float):
        return None
    engine, memory = value.get("engine"), value.get("memory_mb")
    return Beat(
        float(at),
        value.get("ready") is True,
        str(value.get("reason") or ""),
        engine and str(engine),
        stalled=str(value.get("stalled") or ""),
        memory_mb=memory if isinstance(memory, int) else None,
    )
