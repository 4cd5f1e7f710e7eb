"""The watchdog's own notes on its children, for when nobody can be asked: `$WARREN_HOME/run/children.json`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FIELDS = ("service", "instance", "pid", "container", "state", "restarts", "uptime_s", "engine", "reason")
"""Of a row of `ps --json`, in this order; null ones are left out."""


def noted(home: Path) -> list[dict[str, Any]]:
    """The rows as the watchdog last wrote them; empty when there are none."""
    try:
        return _rows((home / "run" / "children.json").read_text())
    except OSError:
        return []


def rows_in(text: str) -> list[dict[str, Any]]:
    """The rows of `ps` in a file of another machine, or of a container: whose processes cannot be looked at."""
    now = time.time()
    return [shaped(row | {"uptime_s": _uptime(row, now)}) for row in _rows(text)]


def _rows(text: str) -> list[dict[str, Any]]:
    try:
        rows = json.loads(text)
    except ValueError:
        return []
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _uptime(row: Mapping[str, Any], now: float) -> float:
    started_at = row.get("started_at")
    if row.get("state") == "running" and isinstance(started_at, int | float):
        return round(max(0.0, now - started_at), 1)
    return float(row.get("uptime_s") or 0.0)


def now_true(row: Mapping[str, Any], *, now: float) -> dict[str, Any]:
    """A note brought up to date: a process that is gone does not run, one that is there has grown older."""
    current = dict(row)
    if row.get("state") in {"running", "starting"} and isinstance(row.get("pid"), int):
        if not alive(row["pid"]):
            current |= {"state": "stopped", "uptime_s": 0.0, "pid": None}
        else:
            current["uptime_s"] = _uptime(row, now)
    return current


def rows_of(home: Path) -> list[dict[str, Any]]:
    """What runs here as far as this machine can tell, without a broker."""
    return [shaped(now_true(row, now=time.time())) for row in noted(home)]


def shaped(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as `ps --json` prints it."""
    return {name: row[name] for name in FIELDS if row.get(name) is not None}


def living(home: Path) -> list[Mapping[str, Any]]:
    """The noted children whose processes are there right now."""
    return [row for row in noted(home) if isinstance(row.get("pid"), int) and alive(row["pid"])]


def alive(pid: int) -> bool:
    """Is there such a process, and is it not a zombie?"""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except PermissionError:
        return True
    except ProcessLookupError:
        return False
    except OSError:  # no /proc here
        return True
