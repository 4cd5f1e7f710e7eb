"""Signs of life that containers give beside their beat files: Docker's health checks, and answers to our questions."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from services.watchdog.asked_containers import AskedContainers
from services.watchdog.containers import Container
from services.watchdog.liveness import Beat


@dataclass
class ContainerSigns:
    """`follow` hears of every change of a container, `silent` of what is known at once."""

    _asked: AskedContainers = field(default_factory=AskedContainers)
    _silent_since: dict[str, float] = field(default_factory=dict)  # by child id, monotonic

    def follow(self, container: Container) -> None:
        """As the container's state says."""
        self._asked.follow(container)
        self.silent(container.child, container.running and (container.paused or container.health == "unhealthy"))

    def silent(self, child: str, silent: bool) -> None:
        """It is paused or unhealthy since now, or not any more."""
        if silent:
            self._silent_since.setdefault(child, time.monotonic())
        else:
            self._silent_since.pop(child, None)

    def beats(self, containers: Iterable[Container]) -> Mapping[str, Beat]:
        """A health check reads the child's own beat: healthy is a beat just now, unhealthy or paused is silence. Who
        is asked by this watchdog has its last answer."""
        now, found = time.monotonic(), {}
        for container in containers:
            name, healthy = container.child, container.health == "healthy"
            if self._asked.asks(container) and not container.paused:
                if answered := self._asked.beat(container):
                    found[name] = answered
            elif container.running and container.health in ("healthy", "unhealthy"):
                silent = self._silent_since.get(name)
                found[name] = Beat(now if silent is None else silent, healthy and silent is None)
        return found

    async def close(self) -> None:
        """Asks nobody any more."""
        await self._asked.close()
