"""One schedule, from the first message to the last: runs it and hands over what there was to see."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import services.inference.app
import services.inference.calls
import services.memory.app
import shared.messaging.database
import shared.runtime.service
from shared.contracts.goals import CancelGoal, GoalEnded
from shared.contracts.supervision import ChildDied
from shared.messaging.consume import Consumer
from shared.messaging.envelope import Envelope, Outgoing
from shared.messaging.ids import goal_id_for
from shared.messaging.publish import Stamp
from shared.messaging.schema import Schema
from tests.sim.broker import HEARTBEAT_S, USER, Broker, Queue
from tests.sim.clock import SimDatetime, log_to, virtual
from tests.sim.link import SimLink
from tests.sim.loop import PROCESS, Process, SimLoop, point
from tests.sim.mesh import build, index
from tests.sim.model import Model
from tests.sim.owners import memory_tables, paid_calls, stores
from tests.sim.schedule import Crash, Schedule, Trouble
from tests.sim.store import SimEngine, SimKept

LIMIT_S, CALM_S = 1000.0, 300.0
"""Virtual seconds until goals that have not ended are stuck, and until all must be quiet after the last has ended."""
CLIENT = "client.sim"
Trace = Callable[..., None]


@dataclass
class World:
    """`sites`: where processes were killed. `order`: a digest of the order in which deliveries were begun.
    `deaths`: how often each message killed its process."""

    schedule: Schedule
    tell: Trace | None = None
    sites: list[tuple[str, str, tuple[tuple[str, int], ...]]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    deaths: Counter[str] = field(default_factory=Counter)
    order: int = 0
    stuck: bool = False

    def __post_init__(self) -> None:
        self.random = Random(self.schedule.seed)
        self.loop = SimLoop(self.random)
        self.broker = Broker(self.loop, self.trace, duplicate=self.schedule.duplicate)
        self.broker.queues[CLIENT] = Queue(CLIENT, {})
        self.model = Model(self.loop)
        self.goal_ids = [goal_id_for(USER, message_id) for message_id, _, _ in self.schedule.goals]
        self.calm_at: float | None = None
        self._processes: dict[str, Process] = {}
        self._links: dict[str, SimLink] = {}
        self._lives: Counter[str] = Counter()
        self._passed: Counter[Crash] = Counter()
        self._due: Crash | None = None
        self._crashes = list(self.schedule.crashes)
        self._poisoned: tuple[Any, ...] | None = None
        self._at_work = [trouble for trouble in self.schedule.troubles if trouble.at is None]

    def trace(self, what: str, *details: Any) -> None:
        if what == "deliver":
            self.order = hash((self.order, details[0], details[2]))
        if self.tell:
            self.tell(f"{self.loop.now:9.3f}  {what:12s}", *details)

    def run(self) -> "World":
        for store in stores().values():
            store.reset()
        log_to(self.trace if self.tell else None)
        self.loop.on_point, self.loop.thread_s = self._on_point, self._thread_s
        replaced = [
            (shared.messaging.database, "make_engine", lambda url, schema: SimEngine(stores()[schema])),
            (shared.messaging.database, "lock_sqlite", lambda path, owner: None),
            (shared.messaging.database, "KeptConnections", SimKept),
            (Schema, "bring_up_to_date", _no_migration),
            (shared.runtime.service, "Link", self._link),
            (Consumer, "_handle", self._may_kill(Consumer._handle)),
            (services.inference.calls, "LOOK_S", 5.0),  # ours are few: what is looked for often takes most of the time
            (services.inference.app, "Script", lambda _: self.model),
            (services.memory.app, "schema", memory_tables),
            (services.memory.app, "SearchIndex", index),
        ]
        asyncio._set_running_loop(self.loop)
        try:
            with virtual(self.loop, self.random, replaced):
                self.loop.outside.context.run(self._begin)
                while self.loop.step():
                    if self._due is not None:
                        self._kill(self._due)
                    if self.calm_at is not None and self._calm():
                        break
                    if self.loop.now > LIMIT_S or (self.calm_at and self.loop.now > self.calm_at + CALM_S):
                        self.stuck = True
                        break
                for process in list(self._processes.values()):
                    self.loop.kill(process)
        finally:
            asyncio._set_running_loop(None)
        return self

    def _link(self, url: str, **more: Any) -> SimLink:
        link = SimLink(url, **more)
        link.broker = self.broker
        self._links[PROCESS.get().name] = link
        return link

    def _begin(self) -> None:
        for name in self.schedule.names:
            self._start(name)
        for message_id, goal, at in self.schedule.goals:
            out = Outgoing(
                "warren.commands", goal.key(), goal.encode(), message_id, goal.type_name(), reply_to=goal.reply_to
            )
            self.loop.outside_later(at, self._publish, out)
        for trouble in self.schedule.troubles:
            if trouble.at is not None:
                self.loop.outside_later(trouble.at, self._trouble, trouble)
        if self.schedule.cancel:
            number, at = self.schedule.cancel
            cancel = CancelGoal(goal_id=self.goal_ids[number])
            out = Stamp("cli", "cli").outgoing(cancel, message_id="cancel-1", subject=cancel.goal_id)
            self.loop.outside_later(at, self._publish, out)
        self.loop.outside_later(0.5, self._look)

    def _publish(self, out: Outgoing) -> None:
        if self.broker.down_until > self.loop.now:
            self.loop.outside_later(self.broker.down_until - self.loop.now, self._publish, out)
            return
        self.trace("client", out.type, out.message_id)
        self.broker.publish(out)

    def _start(self, name: str) -> None:
        self._lives[name] += 1
        process = self.loop.process(name, self._lives[name])
        self._processes[name] = process
        service = process.context.run(build, name, many=self.schedule.many)
        self.trace("start", name, f"life {process.life}")
        self.loop.spawn(process, self._serve(process, service))

    async def _serve(self, process: Process, service: Any) -> None:
        try:
            await service.start()
            await service.failed
        except Exception as error:
            self.violations.append(f"{process.name} ended by itself: {type(error).__name__}: {error}")

    # what goes wrong
    def _on_point(self, process: Process, label: str) -> None:
        if self.calm_at is not None:
            return
        for trouble in self._at_work if label == "work_between_calls" else ():
            if trouble.process == process.name:
                self._at_work.remove(trouble)
                self.loop.outside_later(0, self._trouble, trouble)
                break
        for crash in self._crashes:
            if crash.process != process.name or crash.point not in (label, "any"):
                continue
            if crash.function and not _on_stack(crash.function):
                continue
            self._passed[crash] += 1
            if crash.nth <= self._passed[crash] and self._due is None:
                self._due = crash

    def _thread_s(self, process: Process) -> float:
        """Agents work for seconds, mostly few: nothing of it is in a ledger. Others look something up."""
        return 0.1 + self.random.random() ** 2 * 4 if process.service in ("researcher", "writer") else 0.002

    def _kill(self, crash: Crash) -> None:
        self._due = None
        self._crashes.remove(crash)
        process = self._processes.pop(crash.process, None)
        if process is None or process.dead:
            return
        where = tuple(process.where())
        self.sites.append((process.service, process.last_point, where))
        self.trace("KILL", process.name, "at", process.last_point, where[-1] if where else "")
        self.loop.kill(process)
        if process.service == "inference":
            self.model.crashed(process.name, paid_calls())
        self.loop.outside_later(crash.down_s, self._start, crash.process)
        if crash.noticed:
            died = ChildDied(service=process.service, instance=process.name, reason="simulated", at=SimDatetime.now())
            out = Stamp("watchdog", "watchdog").outgoing(
                died, message_id=f"died-{process.name}-{process.life}", cause=Envelope(), subject=process.name
            )
            self.loop.outside_later(0.2, self._publish, out)

    def _may_kill(self, handle: Any) -> Any:
        """A message that kills whoever begins to handle it, each time and at once."""

        async def handled(consumer: Consumer, body: bytes, envelope: Envelope) -> None:
            if self.schedule.poison == envelope.type and self.calm_at is None and self._due is None:
                what = _identity(envelope, body)
                self._poisoned = self._poisoned or what
                if what == self._poisoned:
                    self._poison(PROCESS.get(), envelope)
                    await point("poison")
            await handle(consumer, body, envelope)

        return handled

    def _poison(self, process: Process, envelope: Envelope) -> None:
        self.trace("POISON", process.name, envelope.message_id[:8])
        self.deaths[envelope.message_id] += 1
        crash = Crash(process.name, "poison", 1, 0.1 + self.random.random() * 2, noticed=self.random.random() < 0.8)
        self._crashes.append(crash)
        self._due = crash

    def _restart_broker(self, for_s: float) -> None:
        """All connections end, exclusive queues are gone, what was not acked is delivered again."""
        self.broker.down_until = self.loop.now + for_s
        for link in list(self._links.values()):
            link.cut(for_s + self.random.random() * 0.5)

    def _trouble(self, trouble: Trouble) -> None:
        if trouble.kind == "broker" and self.calm_at is None:
            self.trace("BROKER", f"{trouble.for_s:.1f} s")
            self._restart_broker(trouble.for_s)
            return
        process = self._processes.get(trouble.process)
        if process is None or self.calm_at is not None:
            return
        self.trace(trouble.kind.upper(), trouble.process, f"{trouble.for_s:.1f} s")
        link = self._links[trouble.process]
        if trouble.kind == "cut":
            link.cut(trouble.for_s)
            return
        self.loop.freeze(process, self.loop.now + trouble.for_s)
        if process.service == "inference":
            self.model.crashed(process.name, paid_calls())  # a lease may end meanwhile: as good as dead
        if trouble.for_s > HEARTBEAT_S:
            self.loop.outside_later(HEARTBEAT_S, link.cut, trouble.for_s - HEARTBEAT_S + 0.5)

    # how it ends
    def answers(self) -> dict[str, set[str]]:
        """Ids of the final answers that the client got, by goal."""
        found: dict[str, set[str]] = {}
        for letter in self.broker.queues[CLIENT].letters:
            answer = json.loads(letter.out.body) if letter.out.type == GoalEnded.type_name() else {}
            goal_id = answer.get("goal_id") or letter.out.headers.get("goal_id") or "refused"
            found.setdefault(goal_id, set()).add(letter.out.message_id)
        return found

    def _look(self) -> None:
        if self.broker.queues[CLIENT].letters and set(self.answers()) >= set(self.goal_ids):
            self.calm_at = self.loop.now
            self.broker.quiet = True
            self.trace("calm")
        else:
            self.loop.outside_later(0.5, self._look)

    def _calm(self) -> bool:
        """All goals have ended: is everything at rest?"""
        if self.loop.now < (self._looked_at if hasattr(self, "_looked_at") else 0):
            return False
        self._looked_at = self.loop.now + 0.5
        if set(self.broker.busy()) - {CLIENT} or len(self._processes) < len(self.schedule.names):
            return False
        return not any(store.held_by or store.rows("SELECT id FROM outbox LIMIT 1") for store in stores().values())


def _on_stack(function: str) -> bool:
    """Is this function of the product's what came here?"""
    frame = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_qualname == function:
            return True
        frame = frame.f_back
    return False


def _identity(envelope: Envelope, body: bytes) -> tuple[Any, ...]:
    """What makes two messages the same to a poison: a step that is given out anew is the same step."""
    if envelope.type != "run_step.v1":
        return (envelope.message_id,)
    step = json.loads(body)
    return (step["goal_id"], step["step"])


async def _no_migration(*_: Any) -> None:
    """The store has its tables."""
