"""What Docker says of our containers, as values. Pure.

A container is ours if compose's project label and `warren.supervise.id` (the service) say so; replicas are told apart
by compose's container number.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.watchdog.actions import Ending, Exited

PROJECT = "com.docker.compose.project"
NUMBER = "com.docker.compose.container-number"
ONE_OFF = "com.docker.compose.oneoff"
SUPERVISED = "warren.supervise.id"
ASKS = "warren.supervise.asks"
"""How the life of a container that does not beat is known (see `asked_containers.py`)."""

SAME_START_S = 1.0
"""Docker's event of a start and its time stamp differ by a little."""


@dataclass(frozen=True)
class Container:
    """One container. `health`: None without a health check. `started_at`: seconds since the epoch. `asks`: None for
    one that beats."""

    id: str
    child: str
    service: str
    running: bool = False
    paused: bool = False
    health: str | None = None
    started_at: float | None = None
    exit_code: int = 0
    out_of_memory: bool = False
    asks: str | None = None


def is_ours(labels: Mapping[str, str], project: str) -> bool:
    """Part of this compose project and to be supervised; `compose run` containers are nobody's replicas."""
    return labels.get(PROJECT) == project and bool(labels.get(SUPERVISED)) and labels.get(ONE_OFF) != "True"


def child_of(labels: Mapping[str, str]) -> tuple[str, str]:
    """The child's id and its service."""
    service = labels[SUPERVISED]
    return f"{service}-{labels.get(NUMBER, '1')}", service


def from_inspection(found: Mapping[str, Any]) -> Container:
    """From the answer to `GET /containers/{id}/json`."""
    state, labels = found["State"], found["Config"]["Labels"]
    child, service = child_of(labels)
    return Container(
        id=found["Id"],
        child=child,
        service=service,
        running=bool(state.get("Running")),
        paused=bool(state.get("Paused")),
        health=(state.get("Health") or {}).get("Status"),
        started_at=_seconds(state.get("StartedAt", "")),
        exit_code=int(state.get("ExitCode", 0)),
        out_of_memory=bool(state.get("OOMKilled")),
        asks=labels.get(ASKS),
    )


def ended_between(before: Container, now: Container) -> bool:
    """It ran at the first look, and at the second it does not, or runs anew."""
    began, begins = before.started_at, now.started_at
    anew = began is not None and begins is not None and begins > began + SAME_START_S
    return before.running and (not now.running or anew)


@dataclass(frozen=True)
class Past:
    """What happened to a container before it died. `ours`: we sent the SIGTERM; `why`: we killed it, and the reason."""

    terminated: bool = False
    ours: bool = False
    out_of_memory: bool = False
    why: str | None = None


def exit_of(child: str, code: int, past: Past) -> Exited:
    """An end, judged: a SIGTERM that was not ours was a person's; memory and our own kills name themselves."""
    if past.terminated and not past.ours:
        return Exited(child, "stopped by you", Ending.SHUTDOWN, by_person=True)
    reason = "out of memory" if past.out_of_memory else past.why or f"exit code {code}"
    if past.ours:
        return Exited(child, reason, Ending.SHUTDOWN)
    abnormal = code != 0 or past.out_of_memory
    return Exited(child, reason, Ending.ABNORMAL if abnormal else Ending.NORMAL)


def tells_who(event: Mapping[str, Any], seen: Container | None) -> bool:
    """Of an event that is older than the last look at this container: does it say who is ending its present life? No
    look can tell that. (On a busy machine what happened while nobody listened is told later than one can look.)"""
    ending = event.get("Action") in ("kill", "oom")
    return ending and seen is not None and seen.started_at is not None and time_of(event) > seen.started_at


def time_of(event: Mapping[str, Any]) -> float:
    """When it happened, in seconds since the epoch."""
    return float(event.get("timeNano", 0)) / 1e9 or time.time()


def _seconds(timestamp: str) -> float | None:
    """Docker's `2026-11-22T21:00:00.123456789Z`; the year 1 means never."""
    if not timestamp or timestamp.startswith("0001"):
        return None
    whole, _, rest = timestamp.partition(".")
    fraction = rest.rstrip("Z")[:6] or "0"
    return datetime.fromisoformat(whole.rstrip("Z") + "+00:00").timestamp() + float(f"0.{fraction}")
