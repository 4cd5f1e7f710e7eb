"""Orders to containers, through whichever socket proxy answers: start by anybody, stop and kill by the leader only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from aiodocker import Docker
from aiodocker.exceptions import DockerError

from services.watchdog import container_questions as questions
from services.watchdog.containers import Container
from services.watchdog.keyhole import CALL_S

AGAIN_S = 0.5
TRIES = 2
"""A proxy that stops in the middle of an order leaves us without an answer; the other one can be asked the same."""
GONE = {304, 404, 409}  # already so, no such container, not running: what was asked for is the case
UNREACHED = 900
"""aiodocker's status of a call that came to nobody."""
log = structlog.get_logger()


class NotReached(Exception):
    """No proxy took the call."""


@dataclass
class Orders:
    """`epoch`: asked before each stop and kill; None while another watchdog leads, which does it then."""

    api: Callable[[], Docker]
    epoch: Callable[[], int | None]

    async def start(self, container: Container) -> None:
        """Waits as long as no proxy can be reached, which is nothing that the container did. Raises OSError."""
        while True:
            try:
                await self._give(container, "start")
                return
            except NotReached:
                await asyncio.sleep(AGAIN_S)

    async def signal(self, container: Container, name: str) -> None:
        """SIGTERM or SIGKILL, now or not at all: it may be wrong later. Raises OSError."""
        try:
            await self._give(container, name)
        except NotReached as error:
            raise OSError(f"docker {name} {container.child}: {error}") from error

    async def _give(self, container: Container, what: str) -> None:
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
                await self.api().containers.container(container.id).start()
            else:
                await questions.send_signal(self.api(), container.id, what, epoch=epoch)
        except DockerError as error:
            if error.status == UNREACHED:
                raise NotReached(error.message) from error
            if error.status not in GONE:
                raise OSError(f"docker {what} {container.child}: {error.message}") from error
            log.info("already_so", child=container.child, order=what, reason=error.message)
