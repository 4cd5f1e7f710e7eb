"""One delivery, from the wire to its settlement. The only place that settles a message.

size, decode, validate ── no ──> dead letter, and an error reply where one was asked for
in a dead consumer's hands? ───> suspect queue: handled alone
handler ── Rejected ──> dead letter        ── Retryable, any other ──> retry queue, counted; spent: dead letter
        ── Deferred ──> retry queue, not counted      ── Cancelled ──> ack      ── done ──> ack
"""

import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from pydantic import ValidationError

from shared.contracts.catalogue import CONTRACTS
from shared.contracts.message import MAX_BODY_BYTES, Message, Refused
from shared.errors import AttemptsSpent, Cancelled, Deferred, NotAllowed, NotDecodable, Rejected, WarrenError
from shared.messaging.envelope import Envelope, reply_allowed
from shared.messaging.topology import MAX_ATTEMPTS

Handler = Callable[[Any, Envelope], Awaitable[Message | None]]
"""Message in, reply (if any) out. A transactional handler is wrapped into this form by the unit of work."""
log = structlog.get_logger()


class Delivery(Protocol):
    """A message in our hands. Each method settles it for good; exactly one is called."""

    @property
    def envelope(self) -> Envelope: ...

    @property
    def body(self) -> bytes: ...

    async def ack(self) -> None: ...

    async def retry(self, *, attempt: int, delay_s: float | None, reason: str) -> None:
        """A fresh copy, to come back as attempt number `attempt`; then ack."""

    async def suspect(self) -> None:
        """A fresh copy to the suspect queue; then ack."""

    async def dead_letter(self, reason: str, *, trace: str | None = None) -> None:
        """A fresh copy to the dead letters, ids kept; then ack."""


@dataclass(frozen=True)
class Consumer:
    """Handles the deliveries of one queue. `reply` publishes a reply to the sender of a request and waits."""

    handlers: Mapping[type[Message], Handler]
    reply: Callable[[Message, Envelope], Awaitable[None]]
    refusal: Callable[[Rejected, Envelope], Message] | None = None
    max_attempts: int = MAX_ATTEMPTS

    async def on_delivery(self, delivery: Delivery) -> None:
        """Never raises for anything that a message does; what happened to it is visible in how it was settled."""
        envelope = delivery.envelope
        if envelope.redelivered and not envelope.suspect:
            await delivery.suspect()
            return
        try:
            await self._handle(delivery.body, envelope)
        except Cancelled as error:
            log.info("message_dropped", reason=error.reason, type=envelope.type, goal_id=envelope.goal_id)
        except Deferred as error:
            await delivery.retry(attempt=envelope.attempt, delay_s=error.delay_s, reason=error.reason)
            return
        except Rejected as error:
            await self._refuse(delivery, error)
            return
        except Exception as error:
            await self._failed(delivery, error)
            return
        await delivery.ack()

    async def _handle(self, body: bytes, envelope: Envelope) -> None:
        if envelope.reply_to and not reply_allowed(envelope.reply_to, envelope.user_id):
            raise NotAllowed(
                f"reply_to: replies cannot go to {envelope.reply_to!r}",
                field="reply_to",
                hint="name your own queue: client.<anything>, or one that the broker named (amq.gen-...)",
            )
        message = decode(body, envelope)
        handler = self.handlers.get(type(message))
        if handler is None:
            raise NotDecodable(f"type: {message.type_name()} is not for queue {envelope.queue}", field="type")
        if _nobody_waits(message, envelope):
            raise Cancelled("its deadline is over")
        reply = await handler(message, envelope)
        if reply is not None:
            await self.reply(reply, envelope)

    async def _refuse(self, delivery: Delivery, error: Rejected) -> None:
        """A question that is refused has its answer: only work that nobody will do is worth keeping."""
        envelope = delivery.envelope
        log.warning("message_rejected", reason=error.reason, field=error.field, type=envelope.type)
        answered = bool(envelope.reply_to and reply_allowed(envelope.reply_to, envelope.user_id))
        if answered:
            await self.reply(self._refusal(error, envelope), envelope)
        if answered and (envelope.type or _type_of_key(envelope.routing_key)).startswith(_ONLY_ANSWERED):
            await delivery.ack()
        else:
            await delivery.dead_letter(error.reason)

    def _refusal(self, error: Rejected, envelope: Envelope) -> Message:
        return self.refusal(error, envelope) if self.refusal else refused(error)

    async def _failed(self, delivery: Delivery, error: Exception) -> None:
        envelope, reason = delivery.envelope, f"{type(error).__name__}: {error}"
        trace = None if isinstance(error, WarrenError) else _last_lines(error)
        log.warning("message_failed", reason=reason, attempt=envelope.attempt, type=envelope.type, trace=trace)
        if envelope.attempt >= self.max_attempts:
            if envelope.reply_to and reply_allowed(envelope.reply_to, envelope.user_id):
                await self.reply(self._refusal(AttemptsSpent(reason), envelope), envelope)
            await delivery.dead_letter(f"{self.max_attempts} attempts failed, the last with {reason}", trace=trace)
        else:
            await delivery.retry(attempt=envelope.attempt + 1, delay_s=None, reason=reason)


def decode(body: bytes, envelope: Envelope) -> Message:
    """The message, checked from the outside in: size, type, JSON, shape. Raises NotDecodable, naming the field."""
    if len(body) > MAX_BODY_BYTES:
        raise NotDecodable(
            f"the body has {len(body):,} bytes, more than {MAX_BODY_BYTES:,}",
            hint="documents travel by `warren corpus add`, not in a goal",
        )
    name = envelope.type or _type_of_key(envelope.routing_key)
    contract = CONTRACTS.get(name)
    if contract is None:
        raise NotDecodable(f"type: unknown message type or version {name[:100]!r}", field="type")
    try:
        return contract.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise NotDecodable(f"{field or 'body'}: {first['msg']}"[:500], field=field or None) from None
    except RecursionError:
        raise NotDecodable("the body is nested too deep") from None


def refused(error: Rejected) -> Refused:
    kinds = {NotDecodable: "not_decodable", NotAllowed: "not_allowed", AttemptsSpent: "failed"}
    kind = kinds.get(type(error), "rejected")
    return Refused(error=kind, reason=error.reason, field=error.field, hint=error.hint)


def _type_of_key(routing_key: str) -> str:
    """`submit_goal.v1` of `cmd.planner.submit_goal.v1`: a client need not set the type property."""
    parts = routing_key.split(".")
    return ".".join(parts[2:4]) if len(parts) >= 4 and parts[0] in {"cmd", "evt"} else ""


def _nobody_waits(message: Message, envelope: Envelope) -> bool:
    """A question (list, show, search, ...) past its deadline is not worth answering; work is done all the same."""
    return envelope.deadline is not None and time.time() > envelope.deadline and message.name.startswith(_QUESTIONS)


# Contracts that only ask; nothing is lost when nobody answers.
_QUESTIONS = ("list_", "show_", "read_", "search", "recall", "events_since", "describe_", "preview_")
# What a person asks for and sees refused is not worth keeping either.
_ONLY_ANSWERED = (*_QUESTIONS, "retry_", "edit_", "drop_")


def _last_lines(error: BaseException, lines: int = 20) -> str:
    return "\n".join("".join(traceback.format_exception(error)).splitlines()[-lines:])
