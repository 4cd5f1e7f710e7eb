"""One process's connection to the broker: confirms, mandatory, persistent, prefetch; comes back by itself.

The only file that knows FastStream. Bodies stay bytes and are settled by hand (`consume.py`): FastStream's own decoding
would delete what it cannot read, and its default acknowledgement would delete what a handler failed on.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog
from aio_pika import DeliveryMode, IncomingMessage
from aio_pika.abc import AbstractConnection
from aio_pika.exchange import Exchange
from aiormq import spec
from aiormq.exceptions import AMQPError, ChannelAccessRefused, ChannelInvalidStateError, DeliveryError, PublishError
from faststream import AckPolicy
from faststream.rabbit import Channel, ExchangeType, QueueType, RabbitBroker, RabbitExchange, RabbitMessage, RabbitQueue
from faststream.rabbit.subscriber import RabbitSubscriber
from yarl import URL

from shared.errors import NoMesh, Rejected, Retryable
from shared.messaging import topology
from shared.messaging.envelope import Envelope, Outgoing
from shared.messaging.lenient import be_lenient

log = structlog.get_logger()
OnMessage = Callable[[IncomingMessage], Awaitable[None]]
RECONNECT_S = 0.25
"""Seconds between attempts to connect: a refused connection on loopback costs under a millisecond."""
ASK_S = 5.0
_LOST = (AMQPError, ConnectionError, RuntimeError, OSError)


@dataclass
class Link:
    """A connection by name. `url`: amqp://user:password@host:port/vhost. Not usable before `connect`."""

    url: str
    name: str
    publish_timeout_s: float = 30.0
    heartbeat_s: int = 10
    on_reconnected: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        be_lenient()
        self._up = asyncio.Event()
        self._exchanges: dict[str, Exchange] = {}
        self._subscribers: dict[str, RabbitSubscriber] = {}
        self._draining = False
        self._looking_up = asyncio.Lock()
        self._broker = RabbitBroker(
            str(URL(self.url).update_query(heartbeat=self.heartbeat_s, name=self.name)),
            default_channel=Channel(publisher_confirms=True, on_return_raises=True),
            reconnect_interval=RECONNECT_S,
            on_close=[self._went_down],
            on_reconnected=[self._came_back],
            graceful_timeout=None,
            apply_types=False,
            decoder=_as_it_is,
            logger=None,
        )
        self.user = URL(self.url).user or "guest"

    @property
    def connected(self) -> bool:
        return self._up.is_set()

    async def connect(self, *, wait_s: float | None = None) -> None:
        """Waits for the broker as long as it takes, or raises NoMesh after `wait_s` seconds."""
        deadline = None if wait_s is None else time.monotonic() + wait_s
        while True:
            try:
                await asyncio.wait_for(self._broker.connect(), 10)
                self._up.set()
                return
            except (*_LOST, TimeoutError) as error:
                if deadline is not None and time.monotonic() >= deadline:
                    raise NoMesh(f"no broker answers at {self.address}: {error or type(error).__name__}") from None
                log.debug("broker_not_there_yet", address=self.address, reason=str(error))
                await asyncio.sleep(RECONNECT_S)

    @property
    def address(self) -> str:
        """The URL without its password."""
        return str(URL(self.url).with_password(None))

    async def declare(self, queues: Iterable[topology.Queue], bindings: Iterable[topology.Binding]) -> None:
        """Declares exchanges, queues and bindings. Twice is harmless; other arguments than before are an error."""
        exchanges = {e.name: await self._broker.declare_exchange(_exchange(e)) for e in topology.exchanges()}
        declared = {q.name: await self._broker.declare_queue(_queue(q)) for q in queues}
        for binding in bindings:
            await declared[binding.queue].bind(exchanges[binding.exchange], routing_key=binding.key)

    def consume(self, queue: str, on_message: OnMessage, *, prefetch: int) -> None:
        """Subscribes to a queue that exists. Each delivery runs as a task of its own, `prefetch` at most at once."""
        self._subscribe(RabbitQueue(queue, declare=False), on_message, prefetch=prefetch)

    def consume_own(self, queue: str, on_message: OnMessage, *, events: Iterable[str] = ()) -> None:
        """Subscribes to a queue that is this process's alone and goes with it; acknowledged on arrival."""
        self._own = RabbitQueue(queue, exclusive=True, auto_delete=True, durable=False)
        self._own_events = tuple(events)
        self._subscribe(self._own, on_message, prefetch=100, policy=AckPolicy.ACK_FIRST)

    def _subscribe(
        self, queue: RabbitQueue, on_message: OnMessage, *, prefetch: int, policy: AckPolicy = AckPolicy.MANUAL
    ) -> None:
        async def handle(message: RabbitMessage) -> None:
            await on_message(message.raw_message)

        channel = Channel(prefetch_count=prefetch)
        subscriber = self._broker.subscriber(queue, ack_policy=policy, no_reply=True, channel=channel)
        subscriber(handle)
        if policy is AckPolicy.MANUAL:
            # not through FastStream's contexts and middlewares, which we do not use: a tenth of a millisecond each
            subscriber.consume = on_message  # type: ignore[method-assign, assignment]
        self._subscribers[queue.name] = subscriber

    async def start(self) -> None:
        """Starts all subscriptions. The own queue is there before any of them: FastStream starts them in no order, the
        first message of a work queue may ask at once, and a reply to a queue that is not there yet would be lost."""
        if hasattr(self, "_own"):
            await self._broker.declare_queue(self._own)
        for key in getattr(self, "_own_events", ()):
            await self.bind_own(key)
        await self._broker.start()

    async def bind_own(self, key: str) -> None:
        """This process's own queue hears events with this key from now on, reconnects included."""
        exchange = await self._broker.declare_exchange(RabbitExchange(topology.EVENTS, declare=False))
        queue = await self._broker.declare_queue(self._own)
        await queue.bind(exchange, routing_key=key)

    async def unbind_own(self, keys: Iterable[str]) -> None:
        """Not any more. While the broker is away they stay: what comes with them is for nobody."""
        with contextlib.suppress(*_LOST):  # a time-out is an OSError
            async with asyncio.timeout(ASK_S if self.connected else 0):
                queue = await self._broker.declare_queue(self._own)
                for key in keys:
                    await queue.unbind(topology.EVENTS, routing_key=key)

    async def publish(self, out: Outgoing) -> None:
        """Publishes and waits for the confirm, through reconnects, at most `publish_timeout_s` seconds.

        Raises Rejected when a mandatory message has nowhere to go, Retryable when the broker does not confirm in time.
        May publish twice (with the same message id) when a connection breaks before its confirm.
        """
        deadline, pause_s = time.monotonic() + self.publish_timeout_s, 0.05
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Retryable(f"the broker did not confirm within {self.publish_timeout_s:.0f} s")
            try:
                async with asyncio.timeout(left):
                    await self._publish(out)
                return
            except PublishError:
                if not out.mandatory:
                    return
                raise Rejected(f"nobody listens on {out.exchange or 'queue'} {out.routing_key}") from None
            except (*_LOST, DeliveryError, TimeoutError, asyncio.CancelledError) as error:
                if _is_cancelled(error):
                    raise
                log.debug("publish_again", key=out.routing_key, reason=str(error) or type(error).__name__)
                await self._wait_until_up(deadline, pause_s)
                pause_s = min(1.0, pause_s * 2)

    async def _publish(self, out: Outgoing) -> None:
        exchange = self._exchanges.get(out.exchange) or await self._look_up(out.exchange)
        if exchange.channel.is_closed:
            raise ChannelInvalidStateError("the channel is closed")
        channel = await exchange.channel.get_underlay_channel()
        properties = spec.Basic.Properties(
            message_id=out.message_id,
            message_type=out.type,
            headers=out.headers,
            correlation_id=out.correlation_id or out.message_id,
            reply_to=out.reply_to,
            priority=out.priority,
            content_type="application/json",
            delivery_mode=DeliveryMode.PERSISTENT if out.persistent else DeliveryMode.NOT_PERSISTENT,
            timestamp=datetime.now(UTC),
            user_id=self.user,
        )
        await channel.basic_publish(
            out.body,
            exchange=out.exchange,
            routing_key=out.routing_key,
            properties=properties,
            mandatory=out.mandatory or out.exchange == "",
        )

    async def _look_up(self, name: str) -> Exchange:
        """By one, once: a hundred first messages would each look it up, one after another."""
        async with self._looking_up:
            if name not in self._exchanges:
                found = RabbitExchange(name, declare=False) if name else RabbitExchange()
                self._exchanges[name] = await self._broker.declare_exchange(found)
            return self._exchanges[name]

    async def _wait_until_up(self, deadline: float, pause_s: float) -> None:
        await asyncio.sleep(pause_s)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._up.wait(), max(0.0, deadline - time.monotonic()))

    async def waiting(self, queue: str) -> int:
        """How many messages of a queue nobody has taken. Raises Rejected if we may not ask, AMQPError without it."""
        if (seen := await _seen(await self._broker.connect(), queue)) is None:
            raise Rejected(f"{self.user} may not look at {queue}")
        return seen.message_count or 0

    @property
    def consuming(self) -> bool:
        """Connected, and meant to be heard."""
        return self.connected and not self._draining

    async def forgotten(self) -> list[str]:
        """Queues that we consume and that have no consumer, by the broker's own count. Raises what the library does."""
        connection = await self._broker.connect()
        looks = {name: await _seen(connection, name) for name in self._subscribers}
        return [name for name, seen in looks.items() if seen and not seen.consumer_count]

    async def consume_again(self, queue: str) -> None:
        subscriber = self._subscribers[queue]
        with contextlib.suppress(*_LOST):
            await subscriber.stop()
        await subscriber.start()

    async def stop_consuming(self) -> None:
        """No new deliveries; those in hand go on."""
        self._draining = True
        for subscriber in self._broker.subscribers:
            with contextlib.suppress(*_LOST):
                await subscriber.stop()

    async def close(self) -> None:
        with contextlib.suppress(*_LOST):
            await self._broker.stop()
        self._up.clear()

    async def _came_back(self, *_: Any) -> None:
        self._up.set()
        log.info("broker_reconnected", address=self.address)
        for callback in self.on_reconnected:
            await callback()

    def _went_down(self, *_: Any) -> None:
        self._up.clear()


async def _seen(connection: AbstractConnection, name: str) -> spec.Queue.DeclareOk | None:
    """A queue as the broker counts it; None where we may not ask. On a channel of its own, which an error closes."""
    async with asyncio.timeout(ASK_S), connection.channel() as channel:
        try:
            return (await channel.declare_queue(name, passive=True)).declaration_result
        except ChannelAccessRefused:
            return None


def _is_cancelled(error: BaseException) -> bool:
    """Did somebody cancel this task? The library ends all that wait for a confirm with CancelledError, too, when a
    silent connection is given up; taken for the real thing it would end the relay, unseen."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


async def _as_it_is(message: Any) -> Any:
    return message


def _exchange(exchange: topology.Exchange) -> RabbitExchange:
    kind = ExchangeType.TOPIC if exchange.kind == "topic" else ExchangeType.FANOUT
    return RabbitExchange(exchange.name, type=kind, durable=True, arguments=exchange.arguments or None)


def _queue(queue: topology.Queue) -> RabbitQueue:
    arguments: Any = {k: v for k, v in queue.arguments.items() if k != "x-queue-type"}
    if queue.arguments.get("x-queue-type") == "quorum":
        return RabbitQueue(queue.name, queue_type=QueueType.QUORUM, durable=True, arguments=arguments)
    return RabbitQueue(queue.name, queue_type=QueueType.CLASSIC, durable=True, arguments=arguments)


def envelope_of(message: IncomingMessage, *, queue: str, suspect: bool = False) -> Envelope:
    """What the broker says of a delivery, read from the raw message only."""
    return Envelope(
        queue=queue,
        message_id=message.message_id or "",
        type=message.type or "",
        routing_key=message.routing_key or "",
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        user_id=message.user_id,
        redelivered=bool(message.redelivered),
        suspect=suspect,
        headers=dict(message.headers or {}),
    )
