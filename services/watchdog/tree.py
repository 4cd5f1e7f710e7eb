"""The supervision tree as values: groups and their children, in start order. Times are seconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum


class Strategy(StrEnum):
    """Who else is restarted when one child of a group ends."""

    ONE_FOR_ONE = "one_for_one"
    ONE_FOR_ALL = "one_for_all"
    REST_FOR_ONE = "rest_for_one"


class Restart(StrEnum):
    """Whether a child that ended is started again: always, only after an abnormal end, never."""

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    TEMPORARY = "temporary"


class Boot(StrEnum):
    """How a group starts its children: each after the one before it is ready (OTP), or all at once, in that order.

    At once is for children that wait for each other by themselves, as services wait for their broker.
    """

    IN_ORDER = "in_order"
    TOGETHER = "together"


class OnExhausted(StrEnum):
    """What a group does when its restart budget is spent."""

    ESCALATE = "escalate"
    QUARANTINE = "quarantine"


class AutoShutdown(StrEnum):
    """Whether a group ends itself when its significant children have ended by themselves."""

    NEVER = "never"
    ANY_SIGNIFICANT = "any_significant"
    ALL_SIGNIFICANT = "all_significant"


@dataclass(frozen=True)
class Autoscale:
    """How many replicas of a service there are: at once more when each has more than `queued` messages waiting or in
    hand, up to `most`; fewer, down to `least`, after `cool_down_s` without need, and only such as have nothing in
    hand."""

    least: int = 1
    most: int = 1
    queued: int = 2
    cool_down_s: float = 30.0


@dataclass(frozen=True)
class Child:
    """One process or container. `shutdown_s`: time between SIGTERM and SIGKILL; 0 = brutal kill, None = for ever."""

    id: str
    service: str
    restart: Restart = Restart.PERMANENT
    shutdown_s: float | None = 5.0
    start_timeout_s: float = 30.0
    significant: bool = False
    command: tuple[str, ...] = ()  # empty: the service of that name
    only: str | None = None  # "process" or "docker": the other mode leaves this child out
    autoscale: Autoscale | None = None


@dataclass(frozen=True)
class Group:
    """One supervisor: children in start order. The defaults are OTP's (Elixir's numbers: 3 restarts in 5 s)."""

    id: str
    children: tuple[Child | Group, ...] = ()
    strategy: Strategy = Strategy.ONE_FOR_ONE
    max_restarts: int = 3
    period_s: int = 5
    restart: Restart = Restart.PERMANENT
    significant: bool = False
    on_exhausted: OnExhausted = OnExhausted.ESCALATE
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
    boot: Boot = Boot.IN_ORDER


def leaves(group: Group) -> Iterator[Child]:
    """Every child that is a process, in start order, nested groups included."""
    for child in group.children:
        if isinstance(child, Group):
            yield from leaves(child)
        else:
            yield child


def replica(child: Child, number: int) -> Child:
    """The same child specification for another copy: id `<service>-<number>`."""
    return replace(child, id=f"{child.service}-{number}")


def without(group: Group, service: str) -> Group:
    """The tree less one service; groups left empty are left out."""
    kept = [without(child, service) if isinstance(child, Group) else child for child in group.children]
    return replace(
        group, children=tuple(c for c in kept if (c.children if isinstance(c, Group) else c.service != service))
    )
