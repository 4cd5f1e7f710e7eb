"""The chain on Warren's own delivery, in one process. `--off`: the same queues, contract, checks and settlement, but
no inbox, no state, no outbox and no commit: a task publishes the next one itself, and that is all it does."""

import os
import sys

from sqlalchemy import Column, Integer, MetaData, String, Table, insert

from shared.contracts.findings import Forget
from shared.messaging.database import Unit
from shared.messaging.envelope import GOAL_ID, Envelope, Outgoing
from shared.messaging.ids import derived_id
from shared.messaging.topology import WorkQueue
from shared.runtime.run import run
from shared.runtime.service import Service
from shared.runtime.settings import MeshSettings

TASKS, DONE = 4, "bench.done"
TABLES = MetaData()
state = Table(
    "state",
    TABLES,
    Column("id", Integer, primary_key=True),
    Column("chain", String(64)),
    Column("task", Integer),
)


def onward(message: Forget, envelope: Envelope, task: int) -> Outgoing:
    """What task number `task` sends on. Any contract would do: this one is the smallest."""
    to = DONE if task == TASKS else f"bench.warren.{task + 1}"
    name = message.finding_id or ""
    identity = derived_id(envelope.message_id, task)
    return Outgoing("", to, message.encode(), identity, message.type_name(), headers={GOAL_ID: name})


def build(*, durable: bool) -> Service:
    service = Service("bench", MeshSettings(), tables=TABLES if durable else None)

    def add(task: int) -> None:
        queue = WorkQueue(f"bench.warren.{task}", "bench", prefetch=64)

        async def with_all(message: Forget, unit: Unit) -> None:
            await unit.connection.execute(insert(state).values(chain=message.finding_id, task=task))
            unit.publish_as(onward(message, unit.envelope, task))

        async def with_nothing(message: Forget, envelope: Envelope) -> None:
            await service.link.publish(onward(message, envelope, task))

        if durable:
            service.apply(queue, Forget, with_all)
        else:
            service.subscribe(queue, Forget, with_nothing)

    for task in range(1, TASKS + 1):
        add(task)
    return service


if __name__ == "__main__":
    os.environ.setdefault("WARREN_INSTANCE", "bench")
    run(build(durable="--off" not in sys.argv))
