"""The watch: joins the pure supervisor to an engine. Events in, actions out, the state on disk after each change.

Everything that touches the supervisor runs on one loop and never waits in between, so there is nothing to lock.
Actions for one child are taken in order; those for different children beside each other.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from services.watchdog.actions import Action, Exited, Kill, Report, Start, Started, Stop
from services.watchdog.audit import Audit
from services.watchdog.engine import Appeared, Engine, EngineEvent, Vanished
from services.watchdog.rows import listing
from services.watchdog.state_file import read_json, write_json
from services.watchdog.supervision import NotFound, Status, Supervisor
from services.watchdog.tree import Child, Group, leaves, replica
from services.watchdog.vigil import Vigil

SAME_BREATH_S = 30.0
ALARMS = {"shutdown", "quarantined", "gave_up"}
log = structlog.get_logger()


@dataclass
class Watch:
    """`keeper` names whose children these are: what was remembered under another keeper is forgotten.

    `on_report` hears every report with the child's status (None for a group); it must not block or raise.
    """

    supervisor: Supervisor
    engine: Engine
    home: Path
    keeper: str
    vigil: Vigil | None = None
    on_report: Callable[[Report, Status | None], None] = lambda report, status: None
    audit: Audit | None = None
    leads: Callable[[], bool] = lambda: True  # asked before each stop and kill; another watchdog does it otherwise
    on_look: Callable[[], None] = lambda: None  # called before each look at the children
    clock: Callable[[], float] = time.monotonic
    down: asyncio.Event = field(default_factory=asyncio.Event)
    restarts: int = 0  # of the watchdog itself, under the same keeper
    born: float = field(default_factory=time.time)
    _booted: bool = False
    _ending: bool = False
    _saved: list[tuple[object, ...]] = field(default_factory=list)
    _since: dict[str, float] = field(default_factory=dict)
    _chains: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _unlisted: dict[str, Child] = field(default_factory=dict)  # here, but of a service that the tree does not have

    def __post_init__(self) -> None:
        self._vigil = self.vigil or Vigil(self.engine)
        self._audit = self.audit or Audit(self.home / "logs" / "audit.log")

    async def run(self) -> None:
        """Adopts, boots and watches until cancelled, or until everything is down (`down` is set)."""
        await self._take_over()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._hear()), group.create_task(self._tick())]
            await self.down.wait()
            for task in tasks:
                task.cancel()

    # -- orders of people

    def hold(self, name: str) -> None:
        """Stops a service or one child, and keeps it down. Raises NotFound."""
        self._perform(self.supervisor.hold(name, self.clock()))

    def release(self, name: str) -> None:
        """Ends a hold or a quarantine. Raises NotFound."""
        self._perform(self.supervisor.release(name, self.clock()))

    async def kill(self, name: str) -> str:
        """SIGKILLs the oldest running instance of a service, as a fault to be healed; its id. Raises NotFound."""
        running = [s.child.id for s in self.named(name) if s.state == "running"]
        if not running:
            raise NotFound(f"no running child {name!r}")
        oldest = min(running, key=lambda one: self.engine.whereabouts(one).started_at or time.time())
        self._audit.act("kill", oldest, why="asked for by a person")
        await self.engine.kill(oldest)
        return oldest

    def scale(self, service: str, replicas: int) -> None:
        """As many children of a service as wanted: new ones get the lowest free numbers, the last go first."""
        children = [status.child for status in self.named(service)]
        names = {child.id for child in children}
        free = (n for n in range(1, replicas + len(children) + 1) if f"{service}-{n}" not in names)
        for number in [next(free) for _ in range(replicas - len(children))]:
            self._perform(self.supervisor.add(replica(children[0], number), self.clock()))
        for child in children[replicas:]:
            self._perform(self.supervisor.forget(child.id, self.clock()))

    def retire(self, child_id: str) -> None:
        """Stops one child and drops it from the tree. Raises NotFound."""
        self._perform(self.supervisor.forget(child_id, self.clock()))

    def reload(self, tree: Group) -> None:
        """Puts another tree in the place of this one (see `Supervisor.reload`)."""
        here = frozenset(c.id for c in leaves(tree) if self.engine.whereabouts(c.id).container)
        containers = here if self.engine.mode == "docker" else None
        self._perform(self.supervisor.reload(tree, self.clock(), containers=containers))

    def shut_down(self) -> None:
        """Stops everything in reverse order; `down` is set when it is done. May be called twice."""
        self._perform(self.supervisor.shutdown(self.clock()))

    def leave(self) -> None:
        """The watchdog ends, its children need not: what was stopped in the same breath is wanted by the next one.

        A host that shuts down sends SIGTERM to every container, which is not a person's word about any of them.
        """
        self.supervisor.forget_stops_since(self.clock() - SAME_BREATH_S)
        self._save()

    async def end_now(self, *, grace_s: float) -> None:
        """Ends everything at once and starts nothing any more: SIGTERM to all, SIGKILL after the grace period."""
        self._ending = True
        ids = [status.child.id for status in self.supervisor.statuses(self.clock())]
        await asyncio.gather(*(self.engine.stop(one) for one in ids), return_exceptions=True)
        deadline = self.clock() + grace_s
        while self.clock() < deadline and any(self.engine.whereabouts(one).pid for one in ids):
            await asyncio.sleep(0.05)
        await asyncio.gather(*(self.engine.kill(one) for one in ids), return_exceptions=True)

    # -- what there is to know

    def named(self, name: str) -> list[Status]:
        """The children of a service, or the one child of that name. Raises NotFound."""
        found = [s for s in self.supervisor.statuses(self.clock()) if name in (s.child.service, s.child.id)]
        if not found:
            raise NotFound(f"no service or child {name!r} in the tree")
        return found

    def rows(self) -> list[dict[str, Any]]:
        """The children as `warren ps --json` prints them; `started_at` in seconds since the epoch."""
        statuses = self.supervisor.statuses(self.clock())
        beats = self._vigil.beats([s.child.id for s in statuses])
        return listing(statuses, self.engine, beats, restarts=self.restarts, born=self.born)

    # -- inside

    async def _take_over(self) -> None:
        known = read_json(self.home / "run" / "supervision.json")
        adopted = await self.engine.adopt([s.child for s in self.supervisor.statuses(self.clock())])
        for child in adopted.extra:
            self._add(child)
        for name in adopted.missing:
            self._perform(self.supervisor.forget(name, self.clock()))
        if known.get("keeper") == self.keeper:
            self.supervisor.restore(known)
            self.restarts = int(known.get("watchdog_restarts", 0)) + 1
        held = {s.child.id for s in self.supervisor.statuses(self.clock()) if s.state == "held"}
        for name in [*adopted.running, *adopted.died]:
            self._since[name] = self.clock()
            if name not in held or self.engine.mode == "docker":  # a held container that runs was started by hand
                self._perform(self.supervisor.handle(Started(name), self.clock()))
            else:
                self._chain(name, self.engine.stop(name))
        self._perform(self.supervisor.boot(self.clock()))
        self._booted = True
        for name, why in adopted.died.items():
            self._perform(self.supervisor.handle(Exited(name, why), self.clock()))
        self._save()
        log.info("watching", mode=self.engine.mode, adopted=sorted(adopted.running), died=sorted(adopted.died))

    async def _hear(self) -> None:
        while True:
            self._on_event(await self.engine.next_event())

    def _on_event(self, event: EngineEvent) -> None:
        if isinstance(event, Appeared):
            self._add(event.child)
        elif isinstance(event, Vanished):
            self._unlisted.pop(event.id, None)
            if self._lists(event.id):
                self._perform(self.supervisor.forget(event.id, self.clock()))
        else:
            self._since.setdefault(event.id, self.clock())
            self._perform(self.supervisor.handle(event, self.clock()))

    def _add(self, child: Child) -> None:
        try:
            if not self._lists(child.id):
                self._perform(self.supervisor.add(child, self.clock()))
        except NotFound:
            self._unlisted[child.id] = child
            log.warning("not_in_the_tree", child=child.id)

    def _lists(self, child_id: str) -> bool:
        return any(status.child.id == child_id for status in self.supervisor.statuses(self.clock()))

    async def _tick(self) -> None:
        while True:
            deadline = self.supervisor.next_deadline()
            wait = self._vigil.liveness.interval_s
            if deadline is not None:
                wait = min(wait, max(0.0, deadline - self.clock()))
            await asyncio.sleep(wait)
            self.on_look()
            await self._judge()
            self._perform(self.supervisor.tick(self.clock()))

    async def _judge(self) -> None:
        watched = self._vigil.watched(self.supervisor.statuses(self.clock()), self._since)
        ready, hung = await self._vigil.round(watched, self.clock)
        since = {one.id: one.since for one in watched}
        for name in ready:
            if self._since.get(name) == since[name]:  # a closer look takes a moment: it may be another process now
                self._perform(self.supervisor.handle(Started(name), self.clock()))
        for one in hung:  # without a way to Docker who is dead looks like one that hangs, and neither can be killed
            if self._since.get(one.id) == since[one.id] and getattr(self.engine, "away_since", None) is None:
                log.warning("killing", child=one.id, reason=one.reason)
                self._since[one.id] = self.clock()  # once is enough: the next judgement is not before its time-out
                kill = functools.partial(self.engine.kill, why=one.reason)
                self._chain(one.id, self._as_leader("kill", one.id, kill, why=one.reason))

    async def _as_leader(
        self, what: str, child_id: str, order: Callable[[str], Coroutine[Any, Any, None]], *, why: str | None = None
    ) -> None:
        """A Docker engine asks by itself: it must know of the stops that it leaves to others."""
        leads = self.leads()
        if leads:
            self._audit.act(what, child_id, why=why)
        if leads or self.engine.mode == "docker":
            await order(child_id)
        else:
            log.warning("not_leading", child=child_id, order=what)

    def _perform(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Report():
                    self._tell(action)
                case Start() if not self._ending:
                    self._since.pop(action.id, None)
                    self._audit.act("start", action.id)
                    self._chain(action.id, self._start(action.id))
                case Stop():
                    self._chain(action.id, self._as_leader("stop", action.id, self.engine.stop))
                case Kill():
                    self._chain(action.id, self._as_leader("kill", action.id, self.engine.kill))
        self._save()
        if self._booted and self.supervisor.is_down:
            self.down.set()

    def _chain(self, child_id: str, work: Coroutine[Any, Any, None]) -> None:
        before = self._chains.get(child_id)

        async def after_it() -> None:
            if before:
                await asyncio.wait([before])
            try:
                await work
            except Exception as error:  # whatever the engine says, the watch goes on
                log.warning("action_failed", child=child_id, error=repr(error))

        self._chains[child_id] = asyncio.create_task(after_it())

    async def _start(self, child_id: str) -> None:
        child = next((s.child for s in self.supervisor.statuses(self.clock()) if s.child.id == child_id), None)
        if child is None:
            return
        try:
            await self.engine.start(child)
        except Exception as error:
            await asyncio.sleep(0)
            self._perform(self.supervisor.handle(Exited(child_id, f"cannot be started: {error}"), self.clock()))
            return
        self._since[child_id] = self.clock()
        self._save()

    def _tell(self, report: Report) -> None:
        (log.error if report.kind in ALARMS else log.info)(report.kind, child=report.id, reason=report.reason)
        self._audit.hear(report)
        statuses = self.supervisor.statuses(self.clock())
        self.on_report(report, next((s for s in statuses if s.child.id == report.id), None))
        if report.kind == "reloaded":
            for name in list(self._unlisted):
                self._add(self._unlisted.pop(name))

    def _save(self) -> None:
        statuses = self.supervisor.statuses(self.clock())
        seen = [(s.child.id, s.state, s.restarts, s.reason, self.engine.whereabouts(s.child.id)) for s in statuses]
        if seen == self._saved or not self._booted or not self.leads():
            return
        self._saved = [*seen]
        write_json(self.home / "run" / "children.json", self.rows())
        own = {"keeper": self.keeper, "watchdog_restarts": self.restarts}
        write_json(self.home / "run" / "supervision.json", {**own, **self.supervisor.snapshot()})
