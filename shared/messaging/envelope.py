"""The envelope is AMQP's own: properties and a few headers; the body is plain JSON."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from shared.messaging.topology import SERVICES

GOAL_ID, CAUSATION_ID, ATTEMPT, DEADLINE, TRACEPARENT = "goal_id", "causation_id", "attempt", "deadline", "traceparent"
REASON, ORIGIN_QUEUE, TRACE, ORIGIN_TYPE = "reason", "origin_queue", "trace", "origin_type"
SENDER = "sender"
"""On a copy: the user who sent the original. The broker vouches only for who published the copy."""
RETRIED = "retried"
"""How often somebody put the message back by hand after it had become a dead letter."""
_CLIENT_QUEUE = re.compile(r"^(client\.|amq\.gen-)")
_SERVICE_QUEUE = re.compile(rf"^({'|'.join(SERVICES)})\.")


@dataclass(frozen=True)
class Envelope:
    """What is known of an incoming message besides its body.

    `attempt` counts from 1 and is ours (the broker's own counts differ between versions). `deadline` is in epoch
    seconds. `suspect`: it was in the hands of a consumer that died, and is now handled alone. `exchange`: where it was
    published, filled in for dead letters only.
    """

    queue: str = ""
    message_id: str = ""
    type: str = ""
    routing_key: str = ""
    correlation_id: str | None = None
    reply_to: str | None = None
    user_id: str | None = None
    redelivered: bool = False
    suspect: bool = False
    exchange: str = ""
    headers: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def causation_id(self) -> str | None:
        return _text(self.headers.get(CAUSATION_ID))

    @property
    def goal_id(self) -> str | None:
        return _text(self.headers.get(GOAL_ID))

    @property
    def attempt(self) -> int:
        value = self.headers.get(ATTEMPT)
        return value if isinstance(value, int) and 1 <= value < 1_000_000 else 1

    @property
    def deadline(self) -> float | None:
        value = self.headers.get(DEADLINE)
        return float(value) if isinstance(value, (int, float)) else None


@dataclass(frozen=True)
class Outgoing:
    """A message on its way out, as the outbox stores it. `exchange` "" is the default one: straight to a queue."""

    exchange: str
    routing_key: str
    body: bytes
    message_id: str
    type: str
    headers: dict[str, Any] = field(default_factory=dict, hash=False)
    correlation_id: str | None = None
    reply_to: str | None = None
    priority: int = 0
    persistent: bool = True
    mandatory: bool = True

    @property
    def goal_id(self) -> str | None:
        return _text(self.headers.get(GOAL_ID))

    def to_json(self) -> str:
        """Everything but the body, for the outbox."""
        return json.dumps({k: v for k, v in vars(self).items() if k != "body"})

    @classmethod
    def from_json(cls, text: str, body: bytes) -> "Outgoing":
        return cls(body=body, **json.loads(text))


def reply_allowed(reply_to: str, user_id: str | None) -> bool:
    """May a reply go there? Clients name their own queues; only a service's own broker user may name a service's.

    Where all share one user (process mode: one machine, one person) the user proves nothing and is not asked for more.
    """
    if _CLIENT_QUEUE.match(reply_to):
        return True
    return bool(_SERVICE_QUEUE.match(reply_to)) and user_id not in (None, "", "client")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
