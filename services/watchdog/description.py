"""The supervision tree as people see it, node by node. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from services.watchdog.control import Control
from services.watchdog.group import GroupRun
from services.watchdog.states import Slot
from services.watchdog.supervision import Supervisor, state_of
from services.watchdog.tree import Child
from shared.contracts.supervision import TreeNode

Uptime = Callable[[str], float]


def describe(supervisor: Supervisor, now: float, uptime: Uptime) -> tuple[TreeNode, ...]:
    """Groups and children in drawing order, the root first. `uptime` in seconds, of a child by its id."""
    return tuple(_group(supervisor, supervisor.root, now, uptime))


def _group(supervisor: Supervisor, run: GroupRun, now: float, uptime: Uptime) -> Iterator[TreeNode]:
    count = Control(supervisor).count_children(run.spec.id)
    failure, retry_at = run.last_failure, run.quarantine.retry_at
    yield TreeNode(
        kind="group",
        id=run.spec.id,
        parent=run.parent.spec.id if run.parent else None,
        state=run.phase.value,
        restart=run.spec.restart.value,
        strategy=run.spec.strategy.value,
        max_restarts=run.spec.max_restarts,
        period_s=run.spec.period_s,
        restarts_left=run.intensity.left(now),
        on_exhausted=run.spec.on_exhausted.value,
        next_try_s=None if retry_at is None else round(max(0.0, retry_at - now), 1),
        children=count.specs,
        running=count.active,
        last_failed=failure.id if failure else None,
        last_failed_reason=failure.reason if failure else None,
        last_failed_ago_s=round(now - failure.at, 1) if failure else None,
    )
    for slot in run.slots:
        if slot.run:
            yield from _group(supervisor, slot.run, now, uptime)
        elif isinstance(slot.spec, Child):
            yield _child(run, slot, slot.spec, uptime)


def _child(run: GroupRun, slot: Slot, child: Child, uptime: Uptime) -> TreeNode:
    state = state_of(run, slot)
    return TreeNode(
        kind="child",
        id=child.id,
        parent=run.spec.id,
        state=state,
        restart=child.restart.value,
        reason=slot.reason or None,
        service=child.service,
        restarts=slot.restarts,
        uptime_s=uptime(child.id) if state == "running" else 0.0,
    )
