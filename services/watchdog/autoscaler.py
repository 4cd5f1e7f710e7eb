"""Starts and stops replicas as work comes and goes. Processes are created and ended; of containers those that compose
has created are started and stopped. Whatever a person orders for a service ends this for it, until `warren release`.

A replica is stopped (SIGTERM, and its time to drain) only when it has nothing in hand; a message that reaches it in
that moment is finished, or goes back to the queue and to another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from services.watchdog.autoscale import Scale
from services.watchdog.engine import Engine
from services.watchdog.state_file import read_json, write_json
from services.watchdog.supervision import Status
from services.watchdog.watch import Watch
from shared.messaging.topology import WORK_QUEUES, agent_queue
from shared.runtime.hands import hands_file, read_hands

LOOK_S, PATIENCE_S = 1.0, 5.0
log = structlog.get_logger()


@dataclass
class Autoscaler:
    """`in_hand`: how many messages a child holds. Parked containers are remembered in the state folder."""

    watch: Watch
    in_hand: Callable[[str], int]
    _scales: dict[str, Scale] = field(default_factory=dict)
    _left_to_people: set[str] = field(default_factory=set)
    _unread: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._file = self.watch.home / "run" / "autoscale.json"
        self._parked: set[str] = set(read_json(self._file).get("parked", []))

    def ordered(self, order: str, name: str) -> None:
        """A person has spoken about a service or a child."""
        services = {status.child.service for status in self.watch.named(name)}
        (self._left_to_people.difference_update if order == "release" else self._left_to_people.update)(services)

    async def run(self, waiting: Callable[[str], Awaitable[int]]) -> None:
        """Until cancelled. `waiting`: messages in a queue that nobody has taken. Needs the broker; without it nothing
        is scaled."""
        while True:
            await asyncio.sleep(LOOK_S)
            for service, children in self._ruled().items():
                try:
                    depth = await asyncio.wait_for(waiting(_queue_of(service)), PATIENCE_S)
                except Exception as error:  # a broker that is away, a queue that is not there: nothing is scaled
                    self._not_read(service, f"{type(error).__name__}: {error}")
                    continue
                if self.watch.leads():
                    self.step(service, children, depth)

    def step(self, service: str, children: list[Status], depth: int) -> None:
        """One look at one service: `depth` messages wait in its queue."""
        rule = next(status.child.autoscale for status in children if status.child.autoscale)
        up = [status for status in children if status.state in ("starting", "running")]
        hands = {status.child.id: self.in_hand(status.child.id) for status in up}
        scale = self._scales.setdefault(service, Scale(rule))
        wanted = scale.wanted(work=depth + sum(hands.values()), replicas=len(up), now=self.watch.clock())
        if wanted > len(up) and all(status.state in ("starting", "running") or self._is_parked(status)
                                    for status in children):  # fmt: skip
            log.info("scaling", service=service, replicas=len(up), wanted=wanted, waiting=depth)
            self._more(service, children, wanted - len(up))
        idle = [status.child.id for status in up if status.state == "running" and hands[status.child.id] == 0]
        for child_id in idle[::-1][: max(0, len(up) - wanted)]:
            log.info("scaling", service=service, replicas=len(up), wanted=wanted, stops=child_id)
            self._stop(child_id)

    def _not_read(self, service: str, reason: str) -> None:
        """Said once for each reason, for it is tried again each second."""
        if self._unread.get(service) != reason:
            log.warning("queue_not_read", service=service, reason=reason, hint="its replicas stay as they are")
        self._unread[service] = reason

    def _ruled(self) -> dict[str, list[Status]]:
        found: dict[str, list[Status]] = {}
        for status in self.watch.supervisor.statuses(self.watch.clock()):
            if status.child.service not in self._left_to_people:
                found.setdefault(status.child.service, []).append(status)
        return {name: those for name, those in found.items() if any(one.child.autoscale for one in those)}

    def _more(self, service: str, children: list[Status], count: int) -> None:
        if self.watch.engine.mode != "docker":
            self.watch.scale(service, len(children) + count)
            return
        for status in [one for one in children if self._is_parked(one)][:count]:
            self._park(status.child.id, parked=False)
            self.watch.release(status.child.id)

    def _stop(self, child_id: str) -> None:
        if self.watch.engine.mode != "docker":
            self.watch.retire(child_id)
            return
        self._park(child_id, parked=True)
        self.watch.hold(child_id)

    def _is_parked(self, status: Status) -> bool:
        return status.state == "held" and status.child.id in self._parked

    def _park(self, child_id: str, *, parked: bool) -> None:
        (self._parked.add if parked else self._parked.discard)(child_id)
        write_json(self._file, {"parked": sorted(self._parked)})


def messages_in_hand(engine: Engine, home: Path, beats: Path | None) -> Callable[[str], int]:
    """Counts what a child has in hand, from the file that it keeps beside its beat."""

    def count(child_id: str) -> int:
        container = engine.whereabouts(child_id).container
        beat = beats / container if beats and container else home / "run" / f"{child_id}.beat"
        return len(read_hands(hands_file(beat)))

    return count


def _queue_of(service: str) -> str:
    return next((queue.name for queue in WORK_QUEUES if queue.owner == service), agent_queue(service).name)
