"""What `warren tree` reads while nobody can be asked: the tree as this watchdog sees it, in `run/tree.json`.

Written when it has changed, and once a second while the broker is away, so that its `at` says how old it is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from services.watchdog.state_file import read_json, write_json
from shared.contracts.supervision import TreeDescribed, TreeNode

EVERY_S = 1.0
RECENT_S = 10.0
"""A predecessor's word on the broker counts if it is no older."""
log = structlog.get_logger()


@dataclass
class Snapshot:
    """`leads`: of several watchdogs that share a folder one writes. Times in seconds since the epoch."""

    path: Path
    describe: Callable[[], TreeDescribed]
    leads: Callable[[], bool] = lambda: True
    clock: Callable[[], float] = time.time
    _away_since: float | None = None
    _written: list[tuple[object, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        before = read_json(self.path)
        if self.clock() - float(before.get("at") or 0) < RECENT_S:
            self._away_since = before.get("broker_away_since")

    async def keep(self, connected: Callable[[], bool]) -> None:
        """Until cancelled. `connected`: is the broker there?"""
        while True:
            try:
                self.look(connected=connected())
            except OSError as error:  # a full disk is no reason to stop watching
                log.warning("snapshot_not_written", reason=str(error))
            await asyncio.sleep(EVERY_S)

    def look(self, *, connected: bool) -> None:
        """Writes what there is to know, if it is new or the broker is away. Raises OSError."""
        now = self.clock()
        self._away_since = None if connected else self._away_since or now
        if not self.leads():
            self._written = []
            return
        tree = self.describe()
        shape = [_shape(node) for node in tree.nodes]
        if connected and shape == self._written:
            return
        write_json(self.path, {"at": now, "broker_away_since": self._away_since, "tree": tree.model_dump(mode="json")})
        self._written = shape if connected else []  # once more when it is back


def _shape(node: TreeNode) -> tuple[object, ...]:
    """What does not change just because time passes."""
    return node.id, node.parent, node.state, node.reason, node.restarts, node.restarts_left, node.last_failed
