"""Kills what works, at the moment it works, and measures how long until it has handled its next message."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.chaos.plan import CUT, FREEZE, HANG, KILL, Fault, Plan
from tests.chaos.seen import Seen
from tests.chaos.target import Target, Victim
from tests.chaos.wire import Wire

LOOK_S = 0.005
CHANCE_S = 8.0
"""How long to wait for the moment at which a service holds work, before another one is taken."""
NEW_PROCESS_S = 0.4
"""No process of ours can start faster: an event that comes sooner was on its way when its worker died."""
PATIENCE_S = 2.0
"""Nobody is killed for hanging before: what comes sooner is an event that was on its way."""
PROBE_S = 2.0
DYING_S = 5.0
RECOVERY_S = 180.0
PROBES = {
    "planner": ("cmd.planner.list_goals.v1", {"limit": 1}),
    "memory": ("cmd.memory.list_corpora.v1", {}),
    "inference": ("cmd.inference.describe_engine.v1", {}),
    "watchdog": ("cmd.watchdog.list_children.v1", {}),
    "postgres": ("cmd.planner.list_goals.v1", {"limit": 1}),
}


@dataclass
class Striker:
    """`calls`: how many calls are open at the model server. `missed`: chances that did not come."""

    target: Target
    wire: Wire
    seen: Seen
    plan: Plan
    calls: Callable[[], int]
    faults: list[Fault] = field(default_factory=list)
    missed: int = 0
    _recoveries: set["asyncio.Task[None]"] = field(default_factory=set)

    async def run(self, kills: int, *, spacing_s: float, more: Callable[[], bool]) -> None:
        """Until so many faults have landed, or `more` says that there is nothing left to disturb."""
        while len(self.faults) < kills and more():
            await asyncio.sleep(self.plan.pause_s(spacing_s))
            recovering = {fault.service for fault in self.faults if fault.recovered_at is None}
            service = self.plan.service(time.time(), recovering=recovering)
            if service and more() and not await self._strike(service):
                self.missed += 1
                self.plan.leave()

    async def recovered(self) -> None:
        """Returns when every fault has been recovered from, or given up."""
        if self._recoveries:
            await asyncio.wait(list(self._recoveries))

    async def _strike(self, service: str) -> bool:
        """False when it held no work for a while, or died of something else meanwhile."""
        kind, freeze_s = self.plan.kind(service), self.plan.freeze_s()
        deadline = time.time() + CHANCE_S
        while time.time() < deadline:
            for victim in self.target.running(service):
                held = self.seen.holds(service, instance=victim.worker, calls=self.calls(), now=time.time())
                if held:
                    return await self._hit(victim, kind, held=held, freeze_s=freeze_s)
            await asyncio.sleep(LOOK_S)
        return False

    async def _hit(self, victim: Victim, kind: str, *, held: str, freeze_s: float) -> bool:
        fault = Fault(victim.service, victim.instance, kind, time.time(), held)
        try:
            await self.target.hit(victim, kind)
        except OSError:
            return False
        self.faults.append(fault)
        if kind not in (FREEZE, CUT):
            self.plan.spend(victim.service, fault.at)
        task = asyncio.create_task(self._recovery(fault, victim, freeze_s=freeze_s))
        self._recoveries.add(task)
        task.add_done_callback(self._recoveries.discard)
        return True

    async def _recovery(self, fault: Fault, victim: Victim, *, freeze_s: float) -> None:
        if fault.kind == FREEZE:
            await asyncio.sleep(freeze_s)
            with contextlib.suppress(OSError):
                await self.target.thaw(victim)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RECOVERY_S):
                fault.recovered_at = await self._handled_next(fault, victim)

    async def _handled_next(self, fault: Fault, victim: Victim) -> float:
        """When the service handled its next message."""
        if fault.service in ("broker", "rabbitmq"):
            if fault.kind == KILL:  # a dying broker may still answer for a moment
                await self.wire.lost(within_s=DYING_S)
            await self.wire.echo()
        elif fault.service in PROBES:
            key, body = PROBES[fault.service]
            while await self.wire.ask(key, dict(body), within_s=PROBE_S) is None:
                continue
        else:
            since = fault.at + {KILL: NEW_PROCESS_S, HANG: PATIENCE_S}.get(fault.kind, 0.0)
            while not (at := self._took_up_work(victim, since)):
                await asyncio.sleep(LOOK_S)
            return at
        return time.time()

    def _took_up_work(self, victim: Victim, since: float) -> float | None:
        times = [at for who, at in self.seen.began.items() if who.startswith(victim.worker) and at > since]
        return max(times, default=None)
