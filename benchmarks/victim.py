"""The process that benchmarks/mttr kills: a service with the queue it is named after, made as every service is made."""

import sys

import services  # noqa: F401 - starts as our services do
from shared.contracts.findings import Forget
from shared.contracts.message import Done
from shared.messaging.envelope import Envelope
from shared.messaging.topology import agent_queue
from shared.runtime.run import run
from shared.runtime.service import Service
from shared.runtime.settings import MeshSettings


async def on_forget(message: Forget, envelope: Envelope) -> Done:
    """Any small request would do."""
    return Done()


def main(name: str) -> None:
    service = Service(name, MeshSettings())
    service.subscribe(agent_queue(name), Forget, on_forget)
    run(service)


if __name__ == "__main__":
    main(sys.argv[1])
