"""Children as containers of this compose project: adopted by label, followed by Docker's event stream.

Compose creates and removes containers, the watchdog starts and stops them. The stream is opened before the containers
are listed, and after a break everything is looked at again, so no end is missed. Talks to the socket proxy only.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from aiodocker import Docker
from aiodocker.exceptions import DockerError

from services.watchdog import container_questions as questions
from services.watchdog.actions import Started
from services.watchdog.container_orders import Orders
from services.watchdog.container_signs import ContainerSigns
from services.watchdog.containers import (
    ASKS,
    Container,
    Past,
    child_of,
    ended_between,
    exit_of,
    from_inspection,
    is_ours,
    tells_who,
    time_of,
)
from services.watchdog.engine import Adopted, Appeared, EngineEvent, Vanished, Whereabouts
from services.watchdog.keyhole import CALL_S, Keyhole, Reach
from services.watchdog.liveness import Beat
from services.watchdog.tree import Child

AGAIN_S = 0.5
RETOLD_S, BURST_S = 2.0, 0.1
"""How long to wait for the first thing that is told again, and from it to the last."""
UNSEEN = 1
"""The exit code of one that has ended and runs again since: nobody can tell, so it counts as a crash."""
log = structlog.get_logger()


@dataclass
class DockerEngine:
    """`url`: the socket proxy, e.g. tcp://socket-proxy:2375. `project`: compose's name for this mesh.

    `epoch`: asked before each stop and kill; None while another watchdog leads, which does it then.
    """

    url: str
    project: str
    mode: str = "docker"
    epoch: Callable[[], int | None] = lambda: 0
    _reach: Reach = field(default_factory=Reach)
    _keyhole: Keyhole | None = None
    _containers: dict[str, Container] = field(default_factory=dict)  # by child id
    _past: dict[str, Past] = field(default_factory=dict)  # by container id
    _events: asyncio.Queue[EngineEvent] = field(default_factory=asyncio.Queue)
    _signs: ContainerSigns = field(default_factory=ContainerSigns)
    _told: asyncio.Event = field(default_factory=asyncio.Event)  # since the stream was opened
    _looked_at: float = 0.0
    _abreast: asyncio.Event = field(default_factory=asyncio.Event)  # nothing has happened that we have not heard of
    _stream: asyncio.Task[None] | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def adopt(self, children: Sequence[Child]) -> Adopted:
        """Every container of the project is a child, whatever the tree's number of replicas says."""
        self._keyhole = Keyhole(self.url)
        listening = asyncio.Event()
        self._stream = asyncio.create_task(self._follow(listening))
        await listening.wait()
        for container in await questions.until_reached(self._look):
            self._bind(container)
        known, found = {child.id for child in children}, self._containers.values()
        extra = [Child(id=one.child, service=one.service) for one in found if one.child not in known]
        running = frozenset(container.child for container in found if container.running)
        return Adopted(running, missing=frozenset(known - set(self._containers)), extra=extra)

    async def start(self, child: Child) -> None:
        """Raises OSError if compose has not created this container, or Docker refuses. Waits for a proxy."""
        if (container := self._containers.get(child.id)) is None:
            raise OSError(f"compose has created no container {child.id}")
        self._past.pop(container.id, None)
        await self._orders.start(container)
        if container.running and self._containers.get(child.id) is container:
            await self._report_start(container)  # it ran already (a new tree knows it now): Docker tells of no start

    async def stop(self, child_id: str) -> None:
        await self._signal(child_id, "SIGTERM", ours=True)

    async def kill(self, child_id: str, *, why: str | None = None) -> None:
        await self._signal(child_id, "SIGKILL", **({"why": why} if why else {}))

    async def process_states(self, child_id: str) -> list[str]:
        """As `container_questions.process_states`; none when it does not run."""
        container = self._containers.get(child_id)
        if container is None or container.paused:
            return ["T"] if container else []
        return await questions.process_states(self._api, container.id)

    async def last_lines(self, child_id: str, *, until: float) -> list[str]:
        """As `container_questions.last_lines`."""
        container = self._containers.get(child_id)
        return await questions.last_lines(self._api, container.id, until=until) if container else []

    async def announce(self, epoch: int) -> None:
        """As `container_questions.announce`."""
        await questions.announce(self._api, epoch)

    async def next_event(self) -> EngineEvent:
        return await self._events.get()

    def beats(self) -> Mapping[str, Beat]:
        return self._signs.beats(self._containers.values())

    def whereabouts(self, child_id: str) -> Whereabouts:
        container = self._containers.get(child_id)
        if container is None or not container.running:
            return Whereabouts(container=container.id[:12] if container else None)
        return Whereabouts(
            container=container.id[:12],
            started_at=container.started_at,
            beats=container.health is not None,
            asked=container.asks is not None and not container.paused,  # of a paused one it is known
        )

    async def close(self) -> None:
        if self._stream:
            self._stream.cancel()
            await asyncio.gather(self._stream, return_exceptions=True)
        await self._signs.close()
        if self._keyhole:
            await self._keyhole.close()

    @property
    def away_since(self) -> float | None:
        """Since when no proxy can be reached, in seconds since the epoch: nobody is restarted meanwhile."""
        return self._reach.lost_at

    # -- inside

    async def _signal(self, child_id: str, name: str, **past: Any) -> None:
        """Only to the life that was meant: while the stream is broken it may have ended, and another begun. Raises
        OSError."""
        if (container := self._containers.get(child_id)) is None:
            return
        try:
            await asyncio.wait_for(self._abreast.wait(), CALL_S)
        except TimeoutError as error:
            raise OSError(f"docker {name} {container.child}: no proxy can be reached") from error
        now = self._containers.get(container.child)
        if now is None or now.id != container.id or ended_between(container, now):
            log.info("ended_meanwhile", child=container.child, order=name)
            return
        self._note(container.id, **past)
        await self._orders.signal(container, name)

    @property
    def _api(self) -> Docker:
        assert self._keyhole, "adopt() comes first"
        return self._keyhole.api

    @property
    def _orders(self) -> Orders:
        return Orders(lambda: self._api, self.epoch)

    async def _look(self) -> list[Container]:
        return await questions.containers(self._api, self.project)

    async def _follow(self, listening: asyncio.Event) -> None:
        assert self._keyhole
        since, broken = time.time(), None
        self._abreast.set()
        while True:
            self._told.clear()
            catching_up = asyncio.create_task(self._catch_up(broken)) if broken else None
            listening.set()
            async with contextlib.aclosing(self._keyhole.events(since)) as events:
                async for event in events:
                    at = float(event.get("timeNano", 0)) / 1e9
                    if at > since:  # what we have seen comes again after a break
                        since = at
                        self._on_docker_event(event)
                    self._told.set()
            broken = time.time()
            if catching_up:
                await catching_up
            self._abreast.clear()
            await asyncio.sleep(AGAIN_S)

    async def _catch_up(self, broken: float) -> None:
        """After a break in the stream: what happened meanwhile is told again and says more (who stopped it), but Docker
        remembers the last 256 events only; then everything is looked at."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._told.wait(), RETOLD_S)
        await asyncio.sleep(BURST_S)
        looked_at, then = time.time(), dict(self._containers)
        try:
            found = {container.child: container for container in await self._look()}
        except (DockerError, OSError) as error:  # OSError: a time-out, too
            self._reach.lost(broken, repr(error))
            return
        self._reach.found()
        self._looked_at = looked_at
        for name, before in then.items():
            now = found.get(name)
            if self._containers.get(name) is not before:  # heard of since
                found.pop(name, None)
            elif now is None:
                self._vanished(before)
            elif ended_between(before, now):
                past = self._past.pop(now.id, Past(out_of_memory=now.out_of_memory))
                self._containers[name] = replace(now, running=False)
                self._events.put_nowait(exit_of(name, now.exit_code or UNSEEN, past))
        for container in found.values():
            known = self._containers.get(container.child)
            if known is None or (container.child in then and container.running and not known.running):
                self._started(container)
            if known is None or container.child in then:
                self._bind(container)
        self._abreast.set()

    def _on_docker_event(self, event: Mapping[str, Any]) -> None:
        actor = event.get("Actor") or {}
        labels = actor.get("Attributes") or {}
        if not is_ours(labels, self.project):
            return
        container_id, action = str(actor.get("ID", "")), str(event.get("Action", ""))
        child, service = child_of(labels)
        bound = self._containers.get(child)
        if time_of(event) <= self._looked_at and not tells_who(event, bound):
            return
        if action == "start":
            asks, at = labels.get(ASKS), time_of(event)
            self._started(Container(container_id, child, service, running=True, started_at=at, asks=asks))
        if bound is None or bound.id != container_id:
            return
        if action == "kill" and str(labels.get("signal")) == "15":
            self._note(container_id, terminated=True)
        elif action == "oom":
            self._note(container_id, out_of_memory=True)
        elif action in ("pause", "unpause"):
            self._containers[child] = replace(bound, paused=action == "pause")
            self._signs.silent(child, action == "pause")
        elif action.startswith("health_status"):
            self._health(bound, action.rpartition(" ")[2])
        elif action == "die" and bound.running:
            self._bind(replace(bound, running=False, paused=False, health=None))
            past = self._past.pop(container_id, Past())
            self._events.put_nowait(exit_of(child, int(labels.get("exitCode", 1)), past))
        elif action == "destroy":
            self._vanished(bound)

    def _started(self, container: Container) -> None:
        """A container runs: perhaps a new one. Without a health check that is all there is to wait for."""
        new = container.child not in self._containers
        self._bind(container)
        self._past.pop(container.id, None)
        if new:
            self._events.put_nowait(Appeared(Child(id=container.child, service=container.service)))
        task = asyncio.create_task(self._report_start(container))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _report_start(self, container: Container) -> None:
        try:
            seen = from_inspection(await self._api.containers.container(container.id).show())
        except (DockerError, OSError):
            return
        bound = self._containers.get(container.child)
        if bound and bound.id == seen.id and bound.running and seen.running:
            health = bound.health or seen.health
            self._containers[container.child] = replace(bound, health=health, started_at=seen.started_at)
            if health in (None, "healthy"):
                self._events.put_nowait(Started(container.child))

    def _health(self, bound: Container, health: str) -> None:
        self._containers[bound.child] = replace(bound, health=health)
        self._signs.silent(bound.child, health == "unhealthy")
        if health == "healthy":
            self._events.put_nowait(Started(bound.child))

    def _vanished(self, container: Container) -> None:
        del self._containers[container.child]
        self._signs.follow(replace(container, running=False))
        self._events.put_nowait(Vanished(container.child))

    def _bind(self, container: Container) -> None:
        self._containers[container.child] = container
        self._signs.follow(container)

    def _note(self, container_id: str, **what: Any) -> None:
        self._past[container_id] = replace(self._past.get(container_id, Past()), **what)
