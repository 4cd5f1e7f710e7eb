"""Children as containers of this compose project: adopted by label, followed by Docker's event stream.

Compose creates and removes containers, the watchdog starts and stops them. The stream is opened before the containers
are listed, and after a break everything is looked at again, so no end is missed. Talks to the socket proxy only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from aiodocker import Docker
from aiodocker.exceptions import DockerError

from services.watchdog import container_questions as questions
from services.watchdog.actions import Started
from services.watchdog.containers import (
    PROJECT,
    SUPERVISED,
    Container,
    Past,
    child_of,
    exit_of,
    from_inspection,
    is_ours,
)
from services.watchdog.engine import Adopted, Appeared, EngineEvent, Vanished, Whereabouts
from services.watchdog.keyhole import CALL_S, Keyhole
from services.watchdog.liveness import Beat
from services.watchdog.tree import Child

AGAIN_S = 0.5
TRIES = 2
"""A proxy that stops in the middle of an order leaves us without an answer; the other one can be asked the same."""
GONE = {304, 404, 409}  # already so, no such container, not running: what was asked for is the case
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
    _keyhole: Keyhole | None = None
    _containers: dict[str, Container] = field(default_factory=dict)  # by child id
    _past: dict[str, Past] = field(default_factory=dict)  # by container id
    _silent_since: dict[str, float] = field(default_factory=dict)  # by child id, monotonic
    _events: asyncio.Queue[EngineEvent] = field(default_factory=asyncio.Queue)
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
        known = {child.id for child in children}
        extra = [_child(c) for c in self._containers.values() if c.child not in known]
        running = frozenset(c.child for c in self._containers.values() if c.running)
        return Adopted(running, missing=frozenset(known - set(self._containers)), extra=extra)

    async def start(self, child: Child) -> None:
        """Raises OSError if compose has not created this container, or Docker refuses."""
        container = self._containers.get(child.id)
        if container is None:
            raise OSError(f"compose has created no container {child.id}")
        self._past.pop(container.id, None)
        await self._order(container, "start")

    async def stop(self, child_id: str) -> None:
        if container := self._containers.get(child_id):
            self._note(container.id, ours=True)
            await self._order(container, "SIGTERM")

    async def kill(self, child_id: str, *, why: str | None = None) -> None:
        if container := self._containers.get(child_id):
            if why:
                self._note(container.id, why=why)
            await self._order(container, "SIGKILL")

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
        """The health check reads the child's own beat: healthy is a beat just now, unhealthy or paused is silence."""
        now = time.monotonic()
        found = {}
        for name, container in self._containers.items():
            if container.running and container.health in ("healthy", "unhealthy"):
                silent = self._silent_since.get(name)
                found[name] = Beat(now if silent is None else silent, container.health == "healthy" and silent is None)
        return found

    def whereabouts(self, child_id: str) -> Whereabouts:
        container = self._containers.get(child_id)
        if container is None or not container.running:
            return Whereabouts(container=container.id[:12] if container else None)
        has_beat = container.health is not None
        return Whereabouts(container=container.id[:12], started_at=container.started_at, beats=has_beat)

    async def close(self) -> None:
        if self._stream:
            self._stream.cancel()
            await asyncio.gather(self._stream, return_exceptions=True)
        if self._keyhole:
            await self._keyhole.close()

    # -- inside

    @property
    def _api(self) -> Docker:
        assert self._keyhole, "adopt() comes first"
        return self._keyhole.api

    async def _order(self, container: Container, what: str) -> None:
        for left in reversed(range(TRIES)):
            epoch = self.epoch()
            if what != "start" and epoch is None:
                log.info("left_to_the_leader", child=container.child, order=what)
                return
            try:
                async with asyncio.timeout(CALL_S):
                    await self._send(container, what, epoch or 0)
                return
            except TimeoutError:
                log.warning("order_not_answered", child=container.child, order=what, tries_left=left)
        raise OSError(f"docker {what} {container.child}: no answer within {TRIES * CALL_S:g} s")

    async def _send(self, container: Container, what: str, epoch: int) -> None:
        try:
            if what == "start":
                await self._api.containers.container(container.id).start()
            else:
                await questions.send_signal(self._api, container.id, what, epoch=epoch)
        except DockerError as error:
            if error.status not in GONE:
                raise OSError(f"docker {what} {container.child}: {error.message}") from error
            log.info("already_so", child=container.child, order=what, reason=error.message)

    async def _look(self) -> list[Container]:
        filters = json.dumps({"label": [f"{PROJECT}={self.project}", SUPERVISED]})
        found = []
        for one in await self._api.containers.list(all="true", filters=filters):
            with contextlib.suppress(DockerError):  # removed meanwhile
                seen = await self._api.containers.container(one.id).show()
                if is_ours(seen["Config"]["Labels"], self.project):
                    found.append(from_inspection(seen))
        return found

    async def _follow(self, listening: asyncio.Event) -> None:
        assert self._keyhole
        since = time.time()
        while True:
            if listening.is_set():
                await self._resync()
            listening.set()
            async with contextlib.aclosing(self._keyhole.events(since)) as events:
                async for event in events:
                    at = float(event.get("timeNano", 0)) / 1e9
                    if at > since:  # what we have seen comes again after a break
                        since = at
                        self._on_docker_event(event)
            await asyncio.sleep(AGAIN_S)

    async def _resync(self) -> None:
        """After a break in the stream: whoever we think runs and does not has ended."""
        try:
            found = {container.child: container for container in await self._look()}
        except (DockerError, OSError) as error:  # OSError: a time-out, too
            log.warning("docker_not_reachable", reason=repr(error))
            return
        for name, before in list(self._containers.items()):
            now = found.get(name)
            if now is None:
                self._vanished(before)
            elif before.running and not now.running:
                self._bind(now)
                past = self._past.pop(now.id, Past(out_of_memory=now.out_of_memory))
                self._events.put_nowait(exit_of(name, now.exit_code, past))
        for container in found.values():
            known = self._containers.get(container.child)
            if known is None or (container.running and not known.running):
                self._started(container)
            self._bind(container)

    def _on_docker_event(self, event: Mapping[str, Any]) -> None:
        actor = event.get("Actor") or {}
        labels = actor.get("Attributes") or {}
        if not is_ours(labels, self.project):
            return
        container_id, action = str(actor.get("ID", "")), str(event.get("Action", ""))
        child, service = child_of(labels)
        bound = self._containers.get(child)
        if action == "start":
            self._started(Container(container_id, child, service, running=True, started_at=_time_of(event)))
        if bound is None or bound.id != container_id:
            return
        if action == "kill" and str(labels.get("signal")) == "15":
            self._note(container_id, terminated=True)
        elif action == "oom":
            self._note(container_id, out_of_memory=True)
        elif action in ("pause", "unpause"):
            self._containers[child] = replace(bound, paused=action == "pause")
            self._silent(child, action == "pause")
        elif action.startswith("health_status"):
            self._health(bound, action.rpartition(" ")[2])
        elif action == "die" and bound.running:
            self._containers[child] = replace(bound, running=False, paused=False, health=None)
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
            self._events.put_nowait(Appeared(_child(container)))
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
        self._silent(bound.child, health == "unhealthy")
        if health == "healthy":
            self._events.put_nowait(Started(bound.child))

    def _silent(self, child: str, silent: bool) -> None:
        if silent:
            self._silent_since.setdefault(child, time.monotonic())
        else:
            self._silent_since.pop(child, None)

    def _vanished(self, container: Container) -> None:
        del self._containers[container.child]
        self._silent_since.pop(container.child, None)
        self._events.put_nowait(Vanished(container.child))

    def _bind(self, container: Container) -> None:
        self._containers[container.child] = container
        self._silent(container.child, container.running and (container.paused or container.health == "unhealthy"))

    def _note(self, container_id: str, **what: Any) -> None:
        self._past[container_id] = replace(self._past.get(container_id, Past()), **what)


def _child(container: Container) -> Child:
    return Child(id=container.child, service=container.service)


def _time_of(event: Mapping[str, Any]) -> float:
    return float(event.get("timeNano", 0)) / 1e9 or time.time()
