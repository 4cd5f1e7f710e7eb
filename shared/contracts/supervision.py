"""Supervision: between people (or the planner) and the watchdog."""

from datetime import datetime
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
    at: datetime | None = None
    """When it was found to have ended: what its successor, of the same name, has taken since is not the dead one's."""
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


class TreeNode(Value):
    """One line of the supervision tree: a group (a supervisor) or a child; nodes come in drawing order."""

    kind: Literal["group", "child"]
    id: str
    parent: str | None = None
    state: str
    """Of a child as in `ChildView`; of a group: up, starting, restarting, stopping, quarantined, down."""
    restart: Literal["permanent", "transient", "temporary"] = "permanent"
    reason: str | None = None
    service: str | None = None
    restarts: int = 0
    """How often this child was restarted."""
    uptime_s: float = 0.0
    strategy: Literal["one_for_one", "one_for_all", "rest_for_one"] | None = None
    max_restarts: int | None = None
    period_s: int | None = None
    restarts_left: int | None = None
    """How many restarts the group may still spend now; one more than these, and it gives up."""
    on_exhausted: Literal["escalate", "quarantine"] | None = None
    next_try_s: float | None = None
    """When a quarantined group is tried again, in seconds from now."""
    children: int | None = None
    """How many a group has, `running` of them with a process: OTP's count_children."""
    running: int | None = None
    last_failed: str | None = None
    """Which child of the group failed last, why, and how long ago."""
    last_failed_reason: str | None = None
    last_failed_ago_s: float | None = None


class DescribeTree(Command, owner="watchdog", name="describe_tree"):
    """The supervision tree as it runs. Answered by `TreeDescribed`."""


class TreeDescribed(Reply, owner="watchdog", name="tree_described"):
    nodes: tuple[TreeNode, ...]
    mode: Literal["process", "docker"]
    reload_waits: bool = False
    """A changed tree was read and is applied as soon as nobody is starting or stopping."""
    refused: str | None = None
    """Why the tree that was read last is not in force, with line and field."""


class ReloadTree(Command, owner="watchdog", name="reload_tree"):
    """Read `supervision.toml` again and apply what changed. Answered by `TreeReloaded`, or `Refused` with the line that
    is wrong; then the old tree stays in force."""


class TreeReloaded(Reply, owner="watchdog", name="tree_reloaded"):
    """`changes`: e.g. "added writer-2"; none if nothing has changed. `waits`: they are applied as soon as nobody is
    starting or stopping."""

    changes: tuple[str, ...] = ()
    waits: bool = False
