"""The children as `warren ps --json` prints them."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from services.watchdog.engine import Engine
from services.watchdog.liveness import Beat
from services.watchdog.supervision import Status


def listing(
    statuses: Sequence[Status], engine: Engine, beats: Mapping[str, Beat], *, restarts: int, born: float
) -> list[dict[str, Any]]:
    """Every child, and this watchdog (restarted how often, born when) where it is not one of them."""
    rows = [row(one, engine, beats) for one in statuses]
    own = own_row(engine.mode, restarts=restarts, born=born)
    listed = own.get("container") is not None and any(one.get("container") == own["container"] for one in rows)
    return rows if listed else [*rows, own]


def row(status: Status, engine: Engine, beats: Mapping[str, Beat]) -> dict[str, Any]:
    """`started_at` in seconds since the epoch."""
    where = engine.whereabouts(status.child.id)
    beat = beats.get(status.child.id)
    found: dict[str, Any] = {"service": status.child.service, "instance": status.child.id}
    found |= {"container": where.container} if engine.mode == "docker" else {"pid": where.pid}
    uptime = max(0.0, time.time() - where.started_at) if where.started_at else 0.0
    found |= {"state": status.state, "restarts": status.restarts, "uptime_s": round(uptime, 1)}
    found |= {"started_at": where.started_at, "reason": status.reason or trouble(status.child.service, engine)}
    return found | ({"engine": beat.engine} if beat and beat.engine else {})


def trouble(service: str, engine: Engine) -> str | None:
    """What a watchdog cannot do for the moment; None of every other service."""
    since: float | None = getattr(engine, "away_since", None)
    if service != "watchdog" or since is None:
        return None
    clock = f"{datetime.fromtimestamp(since, UTC):%H:%M:%S} UTC"
    return f"no socket proxy answers since {clock}: nobody is restarted until `docker compose up -d`"


def own_row(mode: str, *, restarts: int, born: float) -> dict[str, Any]:
    """The watchdog itself; `born` in seconds since the epoch."""
    own: dict[str, Any] = {"service": "watchdog", "instance": "watchdog-1", "state": "running"}
    own |= {"container": socket.gethostname()} if mode == "docker" else {"pid": os.getpid()}
    return own | {"restarts": restarts, "started_at": born, "uptime_s": round(time.time() - born, 1)}
