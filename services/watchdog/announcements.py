"""What happened to children, published as events: kept while the broker is away, the oldest dropped beyond 1000."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

import structlog

from services.watchdog.actions import Report
from services.watchdog.engine import Whereabouts
from services.watchdog.post_mortem import PostMortem, Remains
from services.watchdog.supervision import Status
from shared.contracts.supervision import ActionTaken, ChildDied
from shared.errors import Retryable

HEARSAY_S = 5.0
"""A death that another watchdog was there to announce is told again only if it was just before that one fell silent."""
UNWANTED = {"child_terminated", "start_error"}
log = structlog.get_logger()


@dataclass
class Announcements:
    """`hear` takes what the watch reports; `run` publishes it, each once confirmed, in order. `whereabouts`: the
    engine's, of a child by its id, living or dead."""

    whereabouts: Callable[[str], Whereabouts]
    post_mortem: PostMortem | None = None
    leads: Callable[[], bool] = lambda: True
    _waiting: deque[tuple[ChildDied | ActionTaken, float, bool]] = field(default_factory=lambda: deque(maxlen=1000))
    _some: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, report: Report, status: Status | None) -> None:
        """Called for every report; only ends that nobody ordered are announced."""
        if status is None or report.kind not in UNWANTED:
            return
        remains = self.post_mortem.look(status.child.id, report.reason) if self.post_mortem else Remains()
        event = ChildDied(
            service=status.child.service,
            instance=status.child.id,
            worker=self._worker(status),
            reason=report.reason,
            at=datetime.now(UTC),
            restarts=status.restarts,
            **{**asdict(remains), "held": remains.held},
        )
        self._waiting.append((event, time.time(), self.leads()))
        self._some.set()

    def tell(self, event: ActionTaken) -> None:
        """An action of ours."""
        self._waiting.append((event, time.time(), self.leads()))
        self._some.set()

    def _worker(self, status: Status) -> str:
        """A process is told its name by us; in a container it takes the host's, which is the container's short id."""
        container = self.whereabouts(status.child.id).container
        return f"{status.child.service}-{container}" if container else status.child.id

    async def run(self, publish: Callable[[ChildDied | ActionTaken], Awaitable[None]]) -> None:
        """Until cancelled. An event may be published twice: its receivers only let go of what is gone anyway."""
        while True:
            await self._some.wait()
            while self._waiting:
                first = self._waiting[0]
                event, at, ours = first
                if not ours and time.time() - at > HEARSAY_S:
                    self._waiting.popleft()
                    continue
                if isinstance(event, ChildDied) and self.post_mortem and not event.last_lines:
                    lines = await self.post_mortem.last_lines(event.instance, until=at)
                    event = event.model_copy(update={"last_lines": lines})
                try:
                    await publish(event)
                except Retryable as error:
                    log.warning("not_announced_yet", type=event.type_name(), reason=error.reason)
                    continue
                if self._waiting and self._waiting[0] is first:
                    self._waiting.popleft()
            self._some.clear()
