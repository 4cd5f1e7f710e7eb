"""How each child of process mode is started: our services by their module, the broker on a leash."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.watchdog import leash, rabbitmq_server
from services.watchdog.process_engine import Launch
from services.watchdog.questions import Questions
from services.watchdog.rabbitmq_server import BrokerSpec
from services.watchdog.tree import Child

BROKER = "broker"


@dataclass(frozen=True)
class Launches:
    """`root`: the project's folder. `broker`: None when the mesh uses a broker that somebody else runs."""

    root: Path
    amqp_url: str = field(repr=False)
    broker: BrokerSpec | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)

    def __call__(self, child: Child) -> Launch:
        """Raises OSError if the broker cannot be prepared."""
        if child.service == BROKER and self.broker is not None:
            return self._broker(self.broker, child)
        argv = child.command or (sys.executable, "-m", f"services.{child.service}")
        env = {**self.environment, "WARREN_AMQP_URL": self.amqp_url, "PYTHONPATH": str(self.root)}
        return Launch(argv, env, self.root)

    def _broker(self, spec: BrokerSpec, child: Child) -> Launch:
        async def ready() -> None:
            await rabbitmq_server.wait_ready(spec, timeout_s=child.start_timeout_s)

        async def after() -> None:
            await rabbitmq_server.after_exit(spec)

        asked = Questions(lambda: rabbitmq_server.answers(spec), lambda: rabbitmq_server.running_pid(spec))
        argv = (sys.executable, "-I", "-S", str(Path(leash.__file__).resolve()), "--", *spec.argv)
        return Launch(argv, spec.env, spec.folder, ready, after, asked)
