"""A delivery from a real broker: the `Delivery` protocol of `consume.py` over aio-pika."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import structlog
from aio_pika import IncomingMessage
from aiormq.exceptions import AMQPError

from shared.crashpoints import reached
from shared.messaging.broker import Link, envelope_of
from shared.messaging.envelope import ATTEMPT, ORIGIN_QUEUE, REASON, SENDER, TRACE, Envelope, Outgoing
from shared.messaging.lenient import sendable
from shared.messaging.topology import DEAD, RETRY_QUEUES, WorkQueue, retry_queue

log = structlog.get_logger()
MAX_TRACE = 4000
"""Characters of a stack's last lines kept with a dead letter (a header must stay small)."""


@dataclass(frozen=True)
class BrokerDelivery:
    """Every way out but `ack` publishes a fresh copy with the same ids first, waits for its confirm, and then acks."""

    link: Link
    message: IncomingMessage
    queue: WorkQueue
    envelope: Envelope

    @property
    def body(self) -> bytes:
        return self.message.body

    async def ack(self) -> None:
        reached("before_ack")
        try:
            await self.message.ack()
        except (AMQPError, RuntimeError, ConnectionError) as error:
            # The connection went while we worked: the broker delivers the message again, the inbox knows it.
            log.info("ack_lost", message_id=self.envelope.message_id, reason=str(error))

    async def retry(self, *, attempt: int, delay_s: float | None, reason: str) -> None:
        retry = retry_queue(attempt)
        if delay_s is not None:
            retry = min(RETRY_QUEUES, key=lambda queue: abs(queue.delay_s - delay_s))
        await self._copy(retry.exchange, self.queue.name, {ATTEMPT: attempt, REASON: reason[:1000]})

    async def suspect(self) -> None:
        await self._copy("", self.queue.suspect, {})

    async def dead_letter(self, reason: str, *, trace: str | None = None) -> None:
        more = {REASON: reason[:2000], ORIGIN_QUEUE: self.queue.name, ATTEMPT: self.envelope.attempt}
        await self._copy(DEAD, "", more | ({TRACE: trace[-MAX_TRACE:]} if trace else {}))

    async def _copy(self, exchange: str, routing_key: str, more: dict[str, Any]) -> None:
        await self.link.publish(
            Outgoing(
                exchange=exchange,
                routing_key=routing_key,
                body=self.body,
                # A copy keeps the type even where only the routing key said it: the way back does not keep the key.
                type=self.envelope.type or _type(self.envelope.routing_key),
                message_id=self.envelope.message_id,
                headers={**_plain(self.envelope.headers), SENDER: self.envelope.user_id or "", **more},
                correlation_id=self.envelope.correlation_id,
                reply_to=self.envelope.reply_to,
                priority=self.message.priority or 0,
            )
        )
        reached("after_copy")
        await self.ack()


def delivery_of(link: Link, message: IncomingMessage, *, queue: WorkQueue, suspect: bool = False) -> BrokerDelivery:
    """A message without an id gets one here: two deliveries of it cannot be told apart (documented for clients)."""
    envelope = envelope_of(message, queue=queue.name, suspect=suspect)
    if message.user_id == link.user and SENDER in envelope.headers:
        # a copy of our own making: ids that derive from the sender must come out as they did the first time
        envelope = replace(envelope, user_id=str(envelope.headers[SENDER]) or None)
    if not envelope.message_id:
        envelope = replace(envelope, message_id=str(uuid4()))
        log.info("message_without_id", type=envelope.type, key=envelope.routing_key)
    return BrokerDelivery(link, message, queue, envelope)


def _plain(headers: dict[str, Any]) -> dict[str, Any]:
    """Without the broker's own entries: a fresh copy starts with a clean history."""
    return sendable({k: v for k, v in headers.items() if not k.lower().startswith("x-")})


def _type(routing_key: str) -> str:
    parts = routing_key.split(".")
    return ".".join(parts[2:4]) if len(parts) >= 4 else ""
