"""The tree read again, on SIGHUP or when somebody asks: what is wrong is refused, and the tree in force stays."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from services.watchdog.description import describe
from services.watchdog.rows import trouble
from services.watchdog.tree import Group
from services.watchdog.watch import Watch
from shared.contracts.message import Refused
from shared.contracts.supervision import DescribeTree, ReloadTree, TreeDescribed, TreeNode, TreeReloaded
from shared.errors import ConfigurationError
from shared.messaging.envelope import Envelope

log = structlog.get_logger()


@dataclass
class Reloading:
    """`read` gives the tree as the file says it now; it raises ConfigurationError."""

    watch: Watch
    read: Callable[[], Group]
    refused: str | None = None

    def reload(self) -> TreeReloaded | Refused:
        """Applies what changed. Twice is harmless."""
        try:
            tree = self.read()
        except ConfigurationError as error:
            self.refused = error.reason
            log.error("tree_refused", reason=error.reason, hint="the tree before it stays in force")
            hint = "the tree before it stays in force; correct the file and reload"
            return Refused(error="rejected", reason=error.reason, field=error.field or "tree", hint=hint)
        self.refused = None
        self.watch.reload(tree)
        supervisor = self.watch.supervisor
        if supervisor.reloads:
            return TreeReloaded(waits=True)
        return TreeReloaded(changes=tuple(supervisor.changes.lines()))

    async def on_reload_tree(self, message: ReloadTree, envelope: Envelope) -> TreeReloaded | Refused:
        log.info("ordered", order="reload", by=envelope.user_id)
        return self.reload()

    async def on_describe_tree(self, message: DescribeTree, envelope: Envelope) -> TreeDescribed:
        return self.described()

    def described(self) -> TreeDescribed:
        """The tree as it runs now."""
        watch = self.watch
        nodes = describe(watch.supervisor, watch.clock(), self._uptime)
        return TreeDescribed(
            nodes=tuple(self._troubled(node) for node in nodes),
            mode="docker" if watch.engine.mode == "docker" else "process",
            reload_waits=watch.supervisor.reloads,
            refused=self.refused,
        )

    def _troubled(self, node: TreeNode) -> TreeNode:
        found = trouble(node.service or "", self.watch.engine)
        return node.model_copy(update={"reason": found}) if found and node.reason is None else node

    def _uptime(self, child_id: str) -> float:
        started_at = self.watch.engine.whereabouts(child_id).started_at
        return round(max(0.0, time.time() - started_at), 1) if started_at else 0.0
