"""What people may ask of the watchdog. Every request may be made twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from services.watchdog.supervision import NotFound
from services.watchdog.watch import Watch
from shared.contracts.message import Done, Refused
from shared.contracts.supervision import (
    ChildrenListed,
    ChildView,
    KillService,
    ListChildren,
    ReleaseService,
    ScaleService,
    StopService,
)
from shared.messaging.envelope import Envelope

log = structlog.get_logger()


@dataclass(frozen=True)
class Handlers:
    """`ordered` hears what people want of a service: from then on nothing else decides about it."""

    watch: Watch
    ordered: Callable[[str, str], None] = lambda order, name: None

    async def on_list_children(self, message: ListChildren, envelope: Envelope) -> ChildrenListed:
        rows = self.watch.rows()
        children = tuple(ChildView(**{k: v for k, v in row.items() if k != "started_at"}) for row in rows)
        return ChildrenListed(children=children, mode="docker" if self.watch.engine.mode == "docker" else "process")

    async def on_stop_service(self, message: StopService, envelope: Envelope) -> Done | Refused:
        return self._ordered("stop", message.service, envelope)

    async def on_release_service(self, message: ReleaseService, envelope: Envelope) -> Done | Refused:
        return self._ordered("release", message.service, envelope)

    async def on_kill_service(self, message: KillService, envelope: Envelope) -> Done | Refused:
        try:
            killed = await self.watch.kill(message.service)
        except NotFound as error:
            return self._unknown(error)
        log.info("ordered", order="kill", child=killed, by=envelope.user_id)
        return Done(count=1)

    async def on_scale_service(self, message: ScaleService, envelope: Envelope) -> Done | Refused:
        if self.watch.engine.mode == "docker":
            hint = f"docker compose up -d --no-recreate --scale {message.service}={message.replicas}"
            return Refused(error="not_here", reason="containers are created by compose", hint=hint)
        if message.replicas < 1:
            reason = "a service has at least one instance; stop it instead"
            return Refused(error="rejected", reason=reason, field="replicas", hint=f"warren stop {message.service}")
        try:
            self.ordered("scale", message.service)
            self.watch.scale(message.service, message.replicas)
        except NotFound as error:
            return self._unknown(error)
        log.info("ordered", order="scale", service=message.service, replicas=message.replicas, by=envelope.user_id)
        return Done(count=message.replicas)

    def _ordered(self, order: str, name: str, envelope: Envelope) -> Done | Refused:
        try:
            count = len(self.watch.named(name))
            self.ordered(order, name)
            (self.watch.hold if order == "stop" else self.watch.release)(name)
        except NotFound as error:
            return self._unknown(error)
        log.info("ordered", order=order, service=name, by=envelope.user_id)
        return Done(count=count)

    def _unknown(self, error: NotFound) -> Refused:
        services = {row["service"] for row in self.watch.rows()} - {"watchdog"}
        return Refused(error="not_found", reason=str(error), field="service", hint=f"one of {', '.join(services)}")
