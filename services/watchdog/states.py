"""The moving parts of a group: what it and its children are doing, the steps it takes, the desk it shares."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from services.watchdog.actions import Action
from services.watchdog.tree import Child, Group

if TYPE_CHECKING:
    from services.watchdog.group import GroupRun


class Phase(StrEnum):
    """What a group is doing."""

    DOWN = "down"
    STARTING = "starting"
    UP = "up"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    QUARANTINED = "quarantined"


class Life(StrEnum):
    """What a child is doing."""

    DOWN = "down"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


class Why(StrEnum):
    """Why a group is stopping all its children."""

    ORDERED = "ordered"
    TRIPPED = "tripped"
    START_FAILED = "start_failed"
    AUTO = "auto_shutdown"


@dataclass
class Desk:
    """What all groups of one tree share: the clock of this moment, the actions so far, letters between groups."""

    now: float = 0.0
    actions: list[Action] = field(default_factory=list)
    letters: deque[Callable[[], None]] = field(default_factory=deque)

    def post(self, letter: Callable[[], None]) -> None:
        """Says something to another group after the current letter, never inside it."""
        self.letters.append(letter)


@dataclass
class Slot:
    """A child at run time. `kill_at`: when a stopping child has had its time; `run` is set for a nested group."""

    spec: Child | Group
    run: GroupRun | None = None
    life: Life = Life.DOWN
    held: bool = False
    stopped_at: float | None = None  # when somebody stopped it from outside; None if held by an order to us
    restarts: int = 0
    kill_at: float | None = None
    again: bool = False  # its last start was a restart
    reason: str = ""
    failed: bool = False  # its last start failed and waits to be tried again
    wanted: bool = False  # released while it was still stopping
    retired: bool = False  # forgotten as soon as it is down


@dataclass(frozen=True)
class Failure:
    """Which child of a group failed last, why, and when (monotonic seconds)."""

    id: str
    reason: str
    at: float


@dataclass(frozen=True)
class Step:
    """Stop or start one child; `again`: the start is a restart."""

    slot: Slot
    stop: bool
    again: bool = False


def last_reason(slots: list[Slot]) -> str:
    """Why a group is in trouble: what its first troubled child said last."""
    return next((slot.reason for slot in slots if slot.reason), "")
