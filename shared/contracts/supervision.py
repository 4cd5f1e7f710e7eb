"""Supervision: between people (or the planner) and the watchdog."""

from typing import Literal

from shared.contracts.message import Command, Event, Reply, Value

ChildState = Literal["starting", "running", "held", "quarantined", "stopped"]


class ChildView(Value):
    """One supervised process or container, as `warren ps --json` prints it."""

    service: str
    instance: str
    pid: int | None = None
    container: str | None = None
    state: ChildState
    restarts: int = 0
    uptime_s: float = 0.0
    reason: str | None = None
    engine: str | None = None


class ListChildren(Command, owner="watchdog", name="list_children"):
    """Answered by `ChildrenListed`."""


class ChildrenListed(Reply, owner="watchdog", name="children_listed"):
    children: tuple[ChildView, ...]
    mode: Literal["process", "docker"]


class StopService(Command, owner="watchdog", name="stop_service"):
    """Stop all instances of a service (or one instance) and hold them: people win. Answered by `Done`."""

    service: str


class ReleaseService(Command, owner="watchdog", name="release_service"):
    """End a hold or a quarantine and start it. Answered by `Done`."""

    service: str


class KillService(Command, owner="watchdog", name="kill_service"):
    """SIGKILL one instance of a service (the oldest), as a fault to be healed. Answered by `Done`."""

    service: str


class ScaleService(Command, owner="watchdog", name="scale_service"):
    """Run this many instances (process mode). Answered by `Done`, or `Refused` where compose does it."""

    service: str
    replicas: int


class HeldMessage(Value):
    """A message that a process had in hand when it died. `type` may be missing, as it may in the message."""

    message_id: str
    type: str = ""
    queue: str = ""


class ChildDied(Event, owner="watchdog", name="child_died"):
    """A child ended and was not meant to; subject of the routing key is the instance. Ends that worker's leases."""

    service: str
    instance: str
    worker: str | None = None
    """What its process called itself, or how that name began (in containers it goes on with `-` and its pid); None when
    that is the instance."""
    reason: str
    restarts: int = 0
    held: tuple[HeldMessage, ...] = ()
    """What it had in hand: among these is the message that killed it, if one did."""
    exit_code: int | None = None
    signal: str | None = None
    """Of the signal that ended it, e.g. SIGSEGV."""
    out_of_memory: bool = False
    memory_mb: int | None = None
    """The most memory that it had used, at its last beat."""
    last_lines: tuple[str, ...] = ()
    """The end of its log."""

    @property
    def holder(self) -> str:
        """Whose leases it ends."""
        return self.worker or self.instance


class ActionTaken(Event, owner="watchdog", name="action_taken"):
    """The watchdog has done something, and why; subject of the routing key is the child. `action`: start, stop, kill,
    held, released, quarantined, shutdown (a group), gave_up. `epoch`: which leader did it; 0: one that follows."""

    action: str
    child: str
    reason: str
    epoch: int = 0
