"""A service: a connection, subscriptions, a database if it owns one, and background work, started in order."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import structlog
from aio_pika import IncomingMessage
from aiormq.exceptions import AMQPError

from shared.contracts.message import Event, Message
from shared.errors import Rejected, WarrenError
from shared.messaging import topology
from shared.messaging.broker import Link, envelope_of
from shared.messaging.consume import Consumer, Handler, decode
from shared.messaging.delivery import delivery_of
from shared.messaging.envelope import Envelope
from shared.messaging.moves import Moves
from shared.messaging.outbox import written
from shared.messaging.publish import Stamp, reply_to_request
from shared.messaging.request import Requests
from shared.messaging.topology import HANDLER_S, WorkQueue
from shared.runtime.consumers import keep_consuming
from shared.runtime.hands import Hands, hands_file
from shared.runtime.heartbeat import beat_path
from shared.runtime.settings import MeshSettings

if TYPE_CHECKING:  # SQLAlchemy costs a fifth of a second that a stateless service need not pay
    from sqlalchemy import MetaData

    from shared.messaging.database import Database, Unit

log = structlog.get_logger()
Apply = Callable[[Any, "Unit"], Awaitable[Message | None]]
Background = Callable[[], Coroutine[Any, Any, None]]


GIVE_BACK_S = 5.0
"""Pause before a delivery that could not be settled goes back: what failed (broker, database) needs time, not load."""


async def _give_back(message: IncomingMessage) -> None:
    """Delivered again, marked as redelivered. Kept, it would hold a place of the prefetch as long as we live."""
    await asyncio.sleep(GIVE_BACK_S)
    with contextlib.suppress(AMQPError, RuntimeError, ConnectionError):  # settled, or gone with its connection
        await message.nack(requeue=True)


@dataclass(frozen=True)
class Publisher:
    """Publishes and waits for the confirm."""

    stamp: Stamp
    link: Link

    async def publish(
        self,
        message: Message,
        *,
        subject: str | None = None,
        cause: Envelope | None = None,
        key: str | None = None,
        message_id: str | None = None,
    ) -> None:
        """Raises Rejected when nobody can ever take it, Retryable when the broker does not confirm in time.

        Give results a derived `message_id` (`ids.derived_id`): published twice, they are handled once.
        """
        identity = message_id or str(uuid4())
        await self.link.publish(
            self.stamp.outgoing(message, message_id=identity, cause=cause, subject=subject, key=key)
        )

    async def reply(self, message: Message, request: Envelope) -> None:
        out = reply_to_request(message, request)
        if out:
            await self.link.publish(out)


class Service:
    """Built by `app.build(settings)`, run by `run.run(service)`. Subscriptions are made before it starts."""

    def __init__(
        self, name: str, settings: MeshSettings, *, tables: "MetaData | None" = None, migrations: Sequence[str] = ()
    ) -> None:
        """`tables`: of a service that owns a database; `migrations`: see `Database`."""
        self.name, self.settings = name, settings
        self.instance = settings.instance_of(name)
        self.stamp = Stamp(name, self.instance)
        self.link = Link(
            settings.broker_url, name=self.instance, publish_timeout_s=settings.publish_timeout.total_seconds()
        )
        # replies go to queues of ours and of clients only (`reply_allowed`): an agent from outside is a client
        own = name if name in topology.SERVICES else f"client.{name}"
        self.own_queue = f"{own}.{self.instance}.{uuid4().hex[:8]}"
        self.publisher = Publisher(self.stamp, self.link)
        self.requests = Requests(self.stamp, self.own_queue, self.link.publish)
        self._database = self._open_later(tables, migrations)
        self._handlers: dict[WorkQueue, dict[type[Message], Handler]] = {}
        self._raw: list[tuple[str, Callable[[IncomingMessage], Awaitable[None]]]] = []
        self._heard: dict[type[Event], Handler] = {}
        self._background: list[Background] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._deliveries: set[asyncio.Task[None]] = set()
        self._in_hand = 0
        self.hands = Hands()
        self._moves = Moves()
        self._stopping = False
        self.failed: asyncio.Future[None] | None = None
        self.status: dict[str, Any] = {}
        """What a service adds to its heartbeat, e.g. `engine`."""
        self.refusal: Callable[[Rejected, Envelope], Message] | None = None

    def _open_later(self, tables: "MetaData | None", migrations: Sequence[str]) -> "Database | None":
        if tables is None:
            return None
        from shared.messaging.database import Database  # late: see TYPE_CHECKING above

        url = self.settings.database_url_of(self.name)
        return Database(url, tables, stamp=self.stamp, migrations=migrations)

    @property
    def database(self) -> "Database":
        if self._database is None:
            raise WarrenError(f"{self.name} owns no database")
        return self._database

    def subscribe(self, queue: WorkQueue, message: type[Message], handler: Handler) -> None:
        """Direct: runs at once, beside others, up to the queue's prefetch; acked when it has returned."""
        self._handlers.setdefault(queue, {})[message] = handler

    def apply(self, queue: WorkQueue, message: type[Message], handler: Apply, *, once: bool = True) -> None:
        """Transactional: inbox, state and outbox in one commit; acked after it. Keep it quick: nothing is awaited in it
        but the database. `once=False` for work whose own tables know what was done."""

        async def handle(message: Message, envelope: Envelope) -> Message | None:
            await self.database.apply(lambda unit: handler(message, unit), envelope, once=once)
            await written()  # what follows leaves first: the broker would write the ack to its disk before it
            return None  # the reply is in the outbox

        self.subscribe(queue, message, handle)

    def hear(self, message: type[Event], handler: Handler) -> None:
        """Events that reach every instance, on its own queue; at most once."""
        self._heard[message] = handler

    def drain_raw(self, queue: str, handler: Callable[[Envelope, bytes], Awaitable[None]]) -> None:
        """A queue whose messages are opaque (dead letters): acked once the handler returned, else delivered again."""

        async def on_message(message: IncomingMessage) -> None:
            envelope = replace(envelope_of(message, queue=queue), exchange=message.exchange or "")
            await handler(envelope, message.body)
            await message.ack()

        self._raw.append((queue, on_message))

    def background(self, work: Background) -> None:
        """Started once everything is connected, cancelled when the service stops. If it raises, the process exits."""
        self._background.append(work)

    async def start(self, *, wait_s: float | None = None) -> None:
        """Opens the database, connects (waiting for the broker), declares, subscribes."""
        self.failed = asyncio.get_running_loop().create_future()
        self._keep_hands()
        if self._database:
            await self._database.open(self.link.publish)
            self._spawn(self._database.run)
        await self.link.connect(wait_s=wait_s)
        if self.settings.declare:
            more = [queue for queue in self._handlers if queue not in topology.WORK_QUEUES]
            await self.link.declare(topology.queues(more), topology.bindings(more))
        self.link.consume_own(self.own_queue, self._on_own, events=[topology.heard(e) for e in self._heard])
        for queue, handlers in self._handlers.items():
            self._consume(queue, handlers)
        for name, on_message in self._raw:
            self.link.consume(name, self._counted(on_message, name), prefetch=1)
        self.link.on_reconnected.append(self.requests.publish_open_again)
        await self.link.start()
        if self._database:
            self._spawn(self._database.relay.run)
        self._spawn(lambda: keep_consuming(self.link))
        for work in self._background:
            self._spawn(work)
        log.info("started", queues=[q.name for q in self._handlers])

    def _keep_hands(self) -> None:
        beat = beat_path(self.settings.beat_file)
        try:
            if beat:
                self.hands.keep_in(hands_file(beat))
        except OSError as error:  # the work matters more than what is known after a death
            log.warning("hands_not_kept", reason=str(error))

    def _consume(self, queue: WorkQueue, handlers: dict[type[Message], Handler]) -> None:
        consumer = Consumer(handlers, self.publisher.reply, self.refusal)

        async def on_message(message: IncomingMessage) -> None:
            delivery = delivery_of(self.link, message, queue=queue)
            moving = (
                self._moves.one(message, prefetch=queue.prefetch) if message.redelivered else contextlib.nullcontext()
            )
            async with moving:
                await consumer.on_delivery(delivery)

        async def on_suspect(message: IncomingMessage) -> None:
            await self._moves.done()
            await consumer.on_delivery(delivery_of(self.link, message, queue=queue, suspect=True))

        for name, handle, prefetch in ((queue.name, on_message, queue.prefetch), (queue.suspect, on_suspect, 1)):
            self.link.consume(name, self._counted(handle, queue.name, limit_s=queue.handler_s), prefetch=prefetch)

    def _counted(
        self,
        on_message: Callable[[IncomingMessage], Awaitable[None]],
        queue: str,
        *,
        limit_s: float = HANDLER_S,
    ) -> Callable[[IncomingMessage], Awaitable[None]]:
        """In a task of its own: the library cancels its tasks when their channel breaks, and what is in hand goes on.
        An inbox or a lease makes that once, although the broker delivers the message again."""

        async def counted(message: IncomingMessage) -> None:
            self._in_hand += 1
            what = message.type or message.routing_key or ""
            number = self.hands.take(message.message_id or "", what, queue=queue, limit_s=limit_s)
            try:
                await on_message(message)
            except Exception as error:
                log.error("delivery_not_settled", reason=f"{type(error).__name__}: {error}", exc_info=True)
                await _give_back(message)
            finally:
                self._in_hand -= 1
                self.hands.put_down(number)

        async def on_its_own(message: IncomingMessage) -> None:
            task = asyncio.create_task(counted(message))
            self._deliveries.add(task)
            task.add_done_callback(self._deliveries.discard)
            await asyncio.shield(task)

        return on_its_own

    async def _on_own(self, message: IncomingMessage) -> None:
        if await self.requests.on_reply(message):
            return
        envelope = envelope_of(message, queue=self.own_queue)
        try:
            event = decode(message.body, envelope)
            handler = self._heard.get(type(event)) if isinstance(event, Event) else None
            if handler:
                await handler(event, envelope)
        except WarrenError as error:
            log.warning("own_message_dropped", type=envelope.type, reason=error.reason)

    def _spawn(self, work: Background) -> None:
        task = asyncio.create_task(work(), name=getattr(work, "__qualname__", "background"))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        error = task.exception() if not task.cancelled() else None
        if task.cancelled() and not self._stopping:  # nobody did: a library's own cancellation got through to it
            error = WarrenError(f"background work {task.get_name()} was cancelled")
        if error and self.failed and not self.failed.done():
            self.failed.set_exception(error)

    async def stop(self) -> None:
        """Drain: no new deliveries, finish what is in hand within the grace period, publish the outbox, close."""
        grace_s = self.settings.grace.total_seconds()
        await self.link.stop_consuming()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                while self._in_hand:
                    await asyncio.sleep(0.02)
        if self._database and hasattr(self._database, "relay"):
            await self._database.relay.drain(grace_s)
        self._stopping = True
        tasks = [*self._tasks, *self._deliveries]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.link.close()
        if self._database:
            await self._database.close()
        log.info("stopped", in_hand=self._in_hand)
