"""What the watchdog needs from whatever runs its children: plain processes or containers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from services.watchdog.actions import Event
from services.watchdog.liveness import Beat
from services.watchdog.tree import Child


@dataclass(frozen=True)
class Appeared:
    """A child exists that the tree does not list: compose has scaled out."""

    child: Child


@dataclass(frozen=True)
class Vanished:
    """A child was removed for good: scaled in, or `docker rm`."""

    id: str


EngineEvent = Event | Appeared | Vanished


@dataclass(frozen=True)
class Adopted:
    """What was found at the start. `died`: known to a predecessor and gone since, with the reason; `missing`: in the
    tree, but cannot be started here; `extra`: here, but not in the tree."""

    running: frozenset[str] = frozenset()
    died: Mapping[str, str] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()
    extra: Sequence[Child] = ()


@dataclass(frozen=True)
class Whereabouts:
    """Where a child runs now. `started_at`: seconds since the epoch; `beats`: it gives signs of life; `asked`: only
    when asked; `works`: the process that does its work, where that is not `pid`."""

    pid: int | None = None
    container: str | None = None
    started_at: float | None = None
    beats: bool = False
    asked: bool = False
    works: int | None = None


class Engine(Protocol):
    """Starts, stops and watches children. Every call may be made twice without harm."""

    mode: str

    async def adopt(self, children: Sequence[Child]) -> Adopted:
        """Finds what runs already and watches it from now on. Called once, first."""

    async def start(self, child: Child) -> None:
        """Starts a child; `Started` and `Exited` follow as events. Raises OSError if it cannot be started."""

    async def stop(self, child_id: str) -> None:
        """SIGTERM; returns without waiting for the end."""

    async def kill(self, child_id: str, *, why: str | None = None) -> None:
        """SIGKILL for all its processes; `why` becomes the reason of the exit that follows."""

    async def next_event(self) -> EngineEvent:
        """Waits for the next thing that happened to a child."""

    def beats(self) -> Mapping[str, Beat]:
        """The latest sign of life of each child that gives any."""

    def whereabouts(self, child_id: str) -> Whereabouts:
        """Where the child runs, as far as known."""

    async def close(self) -> None:
        """Stops watching. Children go on."""
