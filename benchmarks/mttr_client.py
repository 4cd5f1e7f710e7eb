"""Who sends the victims of benchmarks/mttr their messages, and waits for the answers. A plain AMQP client."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

from shared.contracts.findings import Forget
from shared.messaging import topology

AGAIN_S, UP_S = 0.1, 90.0
for library in ("aio_pika", "aiormq", "asyncio"):  # each refused connection would be a line
    logging.getLogger(library).setLevel(logging.CRITICAL)


@dataclass
class Client:
    """`ask` publishes a request that is answered at once, with nothing else needed; persistent, so never lost."""

    channel: AbstractChannel
    reply_to: str
    answers: dict[str, "asyncio.Future[float]"] = field(default_factory=dict)

    async def ask(self, victim: str) -> "asyncio.Future[float]":
        """The future is the moment (monotonic) at which the answer arrived."""
        request = uuid4().hex
        future = self.answers[request] = asyncio.get_running_loop().create_future()
        message = aio_pika.Message(
            Forget(finding_id="x").encode(),
            message_id=request,
            correlation_id=request,
            type=Forget.type_name(),
            reply_to=self.reply_to,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await self.channel.default_exchange.publish(message, routing_key=topology.agent_queue(victim).name)
        return future

    async def ready(self, victim: str, *, within_s: float) -> None:
        """Waits until the victim answers; its queue need not be there yet."""
        async with asyncio.timeout(within_s):
            while True:
                try:
                    await (await self.ask(victim))
                    return
                except aio_pika.exceptions.DeliveryError:
                    await asyncio.sleep(AGAIN_S)

    async def heard(self, message: AbstractIncomingMessage) -> None:
        future = self.answers.pop(message.correlation_id or "", None)
        if future and not future.done():
            future.set_result(time.monotonic())


@asynccontextmanager
async def client(url: str) -> AsyncIterator[Client]:
    """Connected, once the broker is up, and hearing answers."""
    async with await _connected(url) as connection:
        channel = await connection.channel(on_return_raises=True)
        queue = await channel.declare_queue(exclusive=True)
        found = Client(channel, queue.name)
        await queue.consume(found.heard, no_ack=True)
        yield found


async def _connected(url: str) -> AbstractConnection:
    async with asyncio.timeout(UP_S):
        while True:
            try:
                return await aio_pika.connect(url)
            except (aio_pika.exceptions.AMQPError, OSError):
                await asyncio.sleep(AGAIN_S)
