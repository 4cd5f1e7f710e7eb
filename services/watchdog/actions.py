"""What the pure engine hears and what it asks for. Ids are child ids (`researcher-1`); times are seconds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Ending(StrEnum):
    """How a child ended. Transient children are restarted after ABNORMAL only."""

    NORMAL = "normal"
    SHUTDOWN = "shutdown"
    ABNORMAL = "abnormal"


@dataclass(frozen=True)
class Started:
    """The child reported that it is ready (OTP: start_link returned ok)."""

    id: str


@dataclass(frozen=True)
class Exited:
    """The child is gone. While it was starting this is a start failure."""

    id: str
    reason: str = "exit code 1"
    ending: Ending = Ending.ABNORMAL
    by_person: bool = False  # somebody stopped it: it is held, not restarted, not counted


@dataclass(frozen=True)
class Start:
    """Start this child; answer with `Started` or `Exited`. Doing it twice must be harmless."""

    id: str
    again: bool = False  # a restart, not a first start


@dataclass(frozen=True)
class Stop:
    """Ask the child to end (SIGTERM); the engine itself asks for `Kill` when its time is over."""

    id: str
    within_s: float | None


@dataclass(frozen=True)
class Kill:
    """End the child now (SIGKILL, its whole process group)."""

    id: str


@dataclass(frozen=True)
class Report:
    """Something for the log and the event: OTP's reports and ours.

    Kinds: child_terminated, start_error, shutdown, quarantined, held, released, gave_up, reloaded.
    """

    kind: str
    id: str
    reason: str = ""


Action = Start | Stop | Kill | Report
Event = Started | Exited
