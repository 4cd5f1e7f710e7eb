"""A child as `warren ps --json` prints it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from typing import Any

from services.watchdog.engine import Engine
from services.watchdog.liveness import Beat
from services.watchdog.supervision import Status


def row(status: Status, engine: Engine, beats: Mapping[str, Beat]) -> dict[str, Any]:
    """`started_at` in seconds since the epoch."""
    where = engine.whereabouts(status.child.id)
    beat = beats.get(status.child.id)
    found: dict[str, Any] = {"service": status.child.service, "instance": status.child.id}
    found |= {"container": where.container} if engine.mode == "docker" else {"pid": where.pid}
    uptime = max(0.0, time.time() - where.started_at) if where.started_at else 0.0
    found |= {"state": status.state, "restarts": status.restarts, "uptime_s": round(uptime, 1)}
    found |= {"started_at": where.started_at, "reason": status.reason or None}
    return found | ({"engine": beat.engine} if beat and beat.engine else {})


def own_row(mode: str, *, restarts: int, born: float) -> dict[str, Any]:
    """The watchdog itself; `born` in seconds since the epoch."""
    own: dict[str, Any] = {"service": "watchdog", "instance": "watchdog-1", "state": "running"}
    own |= {"container": socket.gethostname()} if mode == "docker" else {"pid": os.getpid()}
    return own | {"restarts": restarts, "started_at": born, "uptime_s": round(time.time() - born, 1)}
