"""A plain AMQP client (aio_pika, nothing of ours), to see from outside what the mesh does with a message."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from shared.messaging import topology
from shared.messaging.broker import Link

DEADLINE_S = 30.0
"""Ten times what any single step here takes on a busy machine of two cores."""


@dataclass
class Wire:
    """`replies`: what came to our own queue `reply_to`."""

    channel: AbstractChannel
    reply_to: str
    replies: "asyncio.Queue[AbstractIncomingMessage]" = field(default_factory=asyncio.Queue)

    async def publish(
        self,
        body: bytes | dict[str, Any],
        *,
        key: str,
        exchange: str = topology.COMMANDS,
        **properties: Any,
    ) -> str:
        """Persistent and confirmed; returns the message id. A dict is sent as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        properties.setdefault("message_id", str(uuid4()))
        message = aio_pika.Message(raw, delivery_mode=aio_pika.DeliveryMode.PERSISTENT, **properties)
        target = await self.channel.get_exchange(exchange, ensure=False) if exchange else self.channel.default_exchange
        await target.publish(message, routing_key=key)
        return str(properties["message_id"])

    async def reply(self) -> AbstractIncomingMessage:
        return await soon(self.replies)

    @contextlib.asynccontextmanager
    async def listen(self, queue: str) -> AsyncIterator["asyncio.Queue[AbstractIncomingMessage]"]:
        """Takes what arrives in a queue, and acks it, for as long as the block lasts."""
        arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        source = await self.channel.get_queue(queue, ensure=False)
        tag = await source.consume(arrived.put, no_ack=True)
        try:
            yield arrived
        finally:
            await source.cancel(tag)

    async def take(self, queue: str) -> AbstractIncomingMessage:
        """The next message of a queue."""
        async with self.listen(queue) as arrived:
            return await soon(arrived)

    async def bodies(self, queue: str, count: int) -> list[str]:
        async with self.listen(queue) as arrived:
            return [(await soon(arrived)).body.decode() for _ in range(count)]

    async def depth(self, queue: str) -> int:
        """Messages that are ready."""
        return int((await self.channel.declare_queue(queue, passive=True)).declaration_result.message_count or 0)


async def soon(arrived: "asyncio.Queue[AbstractIncomingMessage]") -> AbstractIncomingMessage:
    """The next one, or the test fails."""
    return await asyncio.wait_for(arrived.get(), DEADLINE_S)


async def distinct(
    arrived: "asyncio.Queue[AbstractIncomingMessage]", count: int, *, timeout_s: float = DEADLINE_S
) -> list[AbstractIncomingMessage]:
    """The next `count` that differ by message id: delivery is at least once where a confirm was lost."""
    by_id: dict[str | None, AbstractIncomingMessage] = {}
    async with asyncio.timeout(timeout_s):
        while len(by_id) < count:
            message = await arrived.get()
            by_id.setdefault(message.message_id, message)
    return list(by_id.values())


def text_of(message: AbstractIncomingMessage) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(message.body)
    return answer


@contextlib.asynccontextmanager
async def wire_to(url: str, *, purge: bool = True) -> AsyncIterator[Wire]:
    """A connection to a broker whose queues are all declared and, with `purge`, empty."""
    await declare(url)
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        for queue in topology.queues() if purge else ():
            await (await channel.get_queue(queue.name, ensure=False)).purge()
        wire = Wire(channel, f"client.{uuid4().hex}")
        own = await channel.declare_queue(wire.reply_to, exclusive=True)
        await own.consume(wire.replies.put, no_ack=True)
        yield wire


async def declare(url: str) -> None:
    link = Link(url, name="test")
    await link.connect(wait_s=DEADLINE_S)
    await link.declare(topology.queues(), topology.bindings())
    await link.close()
