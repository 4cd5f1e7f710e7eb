"""Every action of the watchdog, with its reason: a line in `logs/audit.log`, and an event for whoever listens."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import structlog

from services.watchdog.actions import Report
from services.watchdog.log_files import rotate
from shared.contracts.supervision import ActionTaken

LIMIT_BYTES, KEPT_FILES = 5 * 1024 * 1024, 3
RECENT_S = 10.0
DECISIONS = {"held", "released", "quarantined", "gave_up", "shutdown", "reloaded"}
"""Reports that are actions themselves; the others are their reasons."""
log = structlog.get_logger()


@dataclass
class Audit:
    """`tell` passes an event on; `epoch` is the watchdog's own (0: it does not lead). Never raises."""

    path: Path
    tell: Callable[[ActionTaken], None] = lambda event: None
    epoch: Callable[[], int] = lambda: 0
    clock: Callable[[], float] = time.monotonic
    _why: dict[str, str] = field(default_factory=dict)
    _latest: tuple[float, str] = (float("-inf"), "")

    def hear(self, report: Report) -> None:
        """What was found or decided: the reason of actions that follow, or an action itself."""
        text = f"{report.kind}: {report.reason}" if report.reason else report.kind
        self._why[report.id] = text
        self._latest = (self.clock(), f"{report.id} {text}")
        if report.kind in DECISIONS:
            self._write(report.kind, report.id, report.reason or report.kind)

    def act(self, action: str, child: str, *, why: str | None = None) -> None:
        """Something is done to a child now."""
        self._write(action, child, why or self._reason(action, child))
        if action == "start":
            self._why.pop(child, None)

    def _reason(self, action: str, child: str) -> str:
        """Its own, or what happened just now to a sibling."""
        if own := self._why.get(child):
            return own
        at, text = self._latest
        if self.clock() - at <= RECENT_S:
            return f"after {text}"
        return "it is wanted" if action == "start" else "ordered"

    def _write(self, action: str, child: str, reason: str) -> None:
        event = ActionTaken(action=action, child=child, reason=reason[:1000], epoch=self.epoch())
        line = {"at": datetime.now(UTC).isoformat(), **event.model_dump()}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            rotate(self.path, limit_bytes=LIMIT_BYTES, keep=KEPT_FILES)
            with self.path.open("a", encoding="utf-8") as file:  # appended in one write: two watchdogs may share it
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
        except OSError as error:
            log.error("audit_not_written", action=action, child=child, reason=str(error))
        self.tell(event)
