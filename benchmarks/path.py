"""The critical path of a goal, counted from outside: messages at the broker (its firehose), commits in the databases'
write-ahead logs. Nothing of the product is asked."""

import asyncio
import json
import os
import struct
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue

from services.watchdog.rabbitmq_server import SERVER_SCRIPT, BrokerSpec

QUIET_S = 1.0
_WAL_HEADER, _FRAME_HEADER = 32, 24


@dataclass(frozen=True)
class Seen:
    """A message as the broker took it. `to`: the routing key it was published with."""

    message_id: str
    type: str
    to: str
    cause: str
    body: bytes

    @property
    def is_end(self) -> bool:
        return self.type == "goal_event.v1" and json.loads(self.body).get("event") == "goal_completed"

    @property
    def planner_takes_it(self) -> bool:
        return self.to.startswith(("cmd.planner.", "planner.")) or self.type == "step_finished.v1"


@asynccontextmanager
async def firehose(spec: BrokerSpec) -> AsyncIterator[AbstractQueue]:
    """A queue that gets a copy of whatever is published, to any exchange. Tracing is off again afterwards."""
    async with await aio_pika.connect(spec.amqp_url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind("amq.rabbitmq.trace", "publish.#")
        await asyncio.to_thread(_control, spec, "trace_on")
        try:
            yield queue
        finally:
            await asyncio.to_thread(_control, spec, "trace_off")


def _control(spec: BrokerSpec, command: str) -> None:
    script = SERVER_SCRIPT.with_name("rabbitmqctl")
    env = {**os.environ, **spec.env}
    subprocess.run([script, "-q", "-n", spec.node, command], env=env, check=True, timeout=60, capture_output=True)


async def seen(queue: AbstractQueue) -> list[Seen]:
    """What came until nothing more comes."""
    found: list[Seen] = []
    while True:
        message = await queue.get(no_ack=True, fail=False, timeout=10)
        if message is not None:
            found.append(_seen(message))
        elif found and found[-1].type == "":
            return found
        else:
            await asyncio.sleep(QUIET_S)
            found.append(Seen("", "", "", "", b""))


def _seen(message: AbstractIncomingMessage) -> Seen:
    headers: dict[str, Any] = dict(message.headers)
    properties = headers.get("properties") or {}
    cause = (properties.get("headers") or {}).get("causation_id", "")
    keys = headers.get("routing_keys") or [""]
    kind, identity = str(properties.get("type", "")), str(properties.get("message_id", ""))
    return Seen(identity, kind, str(keys[0]), str(cause), message.body)


def critical_path(messages: list[Seen], first: str) -> list[Seen]:
    """From the message `first` that submitted the goal to the one that tells its end (the answer leaves with it), by
    what caused what. Raises LookupError when a link is missing."""
    by_id = {message.message_id: message for message in messages if message.message_id}
    at = next((message for message in messages if message.is_end), None)
    path: list[Seen] = []
    while at is not None:
        path.insert(0, at)
        if at.message_id == first:
            return path
        at = by_id.get(at.cause)
    raise LookupError(f"no unbroken path from {first}: {[message.type for message in path]}")


def commits(database: Path) -> tuple[bytes, int]:
    """Which log this is (it starts anew when it is full), and the transactions that were committed into it."""
    log = Path(f"{database}-wal")
    data = log.read_bytes() if log.exists() else b""
    if len(data) < _WAL_HEADER:
        return b"", 0
    (page,), salt = struct.unpack(">I", data[8:12]), data[16:24]
    count = 0
    for at in range(_WAL_HEADER, len(data) - _FRAME_HEADER, _FRAME_HEADER + page):
        (size,) = struct.unpack(">I", data[at + 4 : at + 8])  # of the database after a commit; 0 within one
        if data[at + 8 : at + 16] != salt:
            break
        count += size > 0
    return salt, count
