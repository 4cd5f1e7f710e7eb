"""Stamping: from a message and its cause to what goes on the wire. Pure; `broker.py` does the sending."""

from dataclasses import dataclass
from typing import Any

from shared.contracts.message import Command, Event, Message
from shared.messaging.envelope import CAUSATION_ID, GOAL_ID, TRACEPARENT, Envelope, Outgoing
from shared.messaging.ids import derived_id
from shared.messaging.topology import COMMANDS, EVENTS

TRANSIENT = frozenset(
    {"step_progress.v1", "transfer_progress.v1", "step_renewed.v1", "tokens_written.v1", "tokens_wanted.v1"}
)
"""Signs of life, parts of a stream: the next one replaces them, or they are asked for again, so they need no disk."""


@dataclass(frozen=True)
class Stamp:
    """Who sends. `service` is the publisher's name in the routing keys of its events."""

    service: str
    instance: str

    def outgoing(
        self,
        message: Message,
        *,
        message_id: str,
        cause: Envelope | None = None,
        subject: str | None = None,
        key: str | None = None,
    ) -> Outgoing:
        """A command or event as it goes out. `subject` is the goal id (or what else the event is about)."""
        goal_id = subject or (cause.goal_id if cause else None)
        exchange, routing_key = self._address(message, subject=goal_id or "-")
        return Outgoing(
            exchange=exchange,
            routing_key=key or routing_key,
            body=message.encode(),
            message_id=message_id,
            type=message.type_name(),
            headers=_headers(cause, goal_id=goal_id),
            priority=getattr(message, "priority", 0),
            persistent=message.type_name() not in TRANSIENT,
            mandatory=exchange != EVENTS,
        )

    def _address(self, message: Message, *, subject: str) -> tuple[str, str]:
        if isinstance(message, Event):
            return EVENTS, f"evt.{self.service}.{message.type_name()}.{subject}"
        if isinstance(message, Command):
            return COMMANDS, message.key()
        return "", ""


def reply_to_request(message: Message, request: Envelope) -> Outgoing | None:
    """The reply to a request, or None when the request names nobody to reply to. Nobody there any more: dropped."""
    if not request.reply_to:
        return None
    return Outgoing(
        exchange="",
        routing_key=request.reply_to,
        body=message.encode(),
        message_id=derived_id(request.message_id, "reply", message.type_name()),
        type=message.type_name(),
        headers={**_headers(request, goal_id=request.goal_id), CAUSATION_ID: request.message_id},
        correlation_id=request.correlation_id,
        mandatory=False,
    )


def _headers(cause: Envelope | None, *, goal_id: str | None) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if goal_id:
        headers[GOAL_ID] = goal_id
    if cause and cause.message_id:
        headers[CAUSATION_ID] = cause.message_id
    if cause and isinstance(cause.headers.get(TRACEPARENT), str):
        headers[TRACEPARENT] = cause.headers[TRACEPARENT]
    return headers
