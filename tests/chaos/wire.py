"""A plain AMQP client that comes back by itself: nothing of Warren's own client is in it.

It owns a durable queue for answers, which outlives the broker's death, an exclusive one on which it hears events, and
an exchange by which it talks to itself (a client may not write to the default one).
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aiormq.exceptions import AMQPError

COMMANDS, EVENTS = "warren.commands", "warren.events"
CONFIRM_S = 10.0
"""A confirm that takes longer is given up: the message is published again, with the same id."""
AGAIN_S = 0.1
QUORUM: dict[str, Any] = {"x-queue-type": "quorum"}
_LOST = (AMQPError, OSError, RuntimeError, TimeoutError)
Hear = Callable[[AbstractIncomingMessage], None]


@dataclass
class Wire:
    """`on_answer` and `on_event` must not block. Run `stay_connected` beside whatever uses it."""

    url: str
    queue: str
    on_answer: Hear
    on_event: Hear
    _ready: asyncio.Event = field(default_factory=asyncio.Event)
    _channel: AbstractChannel | None = None
    _tag: str = ""
    _asked: dict[str, "asyncio.Future[dict[str, Any]]"] = field(default_factory=dict)

    async def stay_connected(self) -> None:
        """Connects again and again, until cancelled."""
        while True:
            try:
                await self._one_connection()
            except _LOST:
                pass
            except asyncio.CancelledError:
                if (task := asyncio.current_task()) and task.cancelling():
                    raise  # the AMQP library cancels what waits on a lost connection: that alone is not for us
            finally:
                self._ready.clear()
            await asyncio.sleep(AGAIN_S)

    async def _one_connection(self) -> None:
        async with asyncio.timeout(CONFIRM_S):
            connection = await aio_pika.connect(self.url, timeout=5)
        async with connection:
            async with asyncio.timeout(CONFIRM_S):
                self._channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
                await self._channel.set_qos(prefetch_count=200)
                answers = await self._channel.declare_queue(self.queue, durable=True, arguments=dict(QUORUM))
                loop = await self._channel.declare_exchange(self.queue, "fanout", auto_delete=True)
                await answers.bind(loop)
                events = await self._channel.declare_queue(f"{self.queue}.events.{uuid4().hex[:8]}", exclusive=True)
                await events.bind(EVENTS, "evt.*.goal_event.v1.*")
                self._tag = await answers.consume(self._answered)
                await events.consume(self._heard, no_ack=True)
            closed = asyncio.Event()
            connection.close_callbacks.add(lambda *_: closed.set())
            self._channel.close_callbacks.add(lambda *_: closed.set())
            self._ready.set()
            await closed.wait()

    async def publish(self, key: str, body: dict[str, Any], *, message_id: str, exchange: str = COMMANDS) -> None:
        """Returns once the broker has confirmed it; until then it is published again, always with the same id."""
        while True:
            await self._ready.wait()
            try:
                async with asyncio.timeout(CONFIRM_S):
                    await self._publish(key, body, message_id=message_id, exchange=exchange)
                return
            except _LOST:
                pass
            except asyncio.CancelledError:
                if (task := asyncio.current_task()) and task.cancelling():
                    raise
            await asyncio.sleep(AGAIN_S)

    async def _publish(self, key: str, body: dict[str, Any], *, message_id: str, exchange: str) -> None:
        channel = self._channel
        if channel is None:
            raise OSError("not connected")
        message = aio_pika.Message(
            json.dumps(body).encode(),
            message_id=message_id,
            correlation_id=message_id,
            reply_to=self.queue,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        to = await channel.get_exchange(exchange, ensure=False)
        await to.publish(message, routing_key=key, mandatory=True)

    async def ask(self, key: str, body: dict[str, Any], *, within_s: float = 10.0) -> dict[str, Any] | None:
        """The answer to a request, or None when there was none in time."""
        message_id = str(uuid4())
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked[message_id] = future
        try:
            async with asyncio.timeout(within_s):
                await self.publish(key, body, message_id=message_id)
                return await future
        except TimeoutError:
            return None
        finally:
            del self._asked[message_id]

    async def lost(self, *, within_s: float) -> None:
        """Returns when the connection that we had is gone, or after so many seconds."""
        channel, deadline = self._channel, asyncio.get_running_loop().time() + within_s
        while self._ready.is_set() and self._channel is channel and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.005)

    async def echo(self) -> None:
        """Returns when the broker has taken a message to our own queue and delivered it."""
        message_id = str(uuid4())
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked[message_id] = future
        try:
            await self.publish("", {}, message_id=message_id, exchange=self.queue)
            await future
        finally:
            del self._asked[message_id]

    async def forget(self) -> None:
        """Deletes the queue of the answers."""
        if self._channel is not None and self._ready.is_set():
            answers = await self._channel.get_queue(self.queue, ensure=False)
            await answers.cancel(self._tag)
            await answers.delete(if_unused=False, if_empty=False)

    async def _answered(self, message: AbstractIncomingMessage) -> None:
        future = self._asked.get(message.correlation_id or "")
        if future is None:
            self.on_answer(message)
        elif not future.done():
            future.set_result(json.loads(message.body))
        try:
            await message.ack()
        except _LOST:
            return  # it will come again

    async def _heard(self, message: AbstractIncomingMessage) -> None:
        self.on_event(message)
