"""Dead letters put back, corrected or dropped: each leaves the table in the transaction that publishes it."""

import json
from dataclasses import dataclass
from typing import Any

from services.planner.parked import Parked
from services.planner.parking import never_arrived, sender_of
from shared.contracts.catalogue import CONTRACTS
from shared.contracts.dead_letters import DeadLetterSent, DropDeadLetters, EditDeadLetter, RetryDeadLetters
from shared.contracts.goals import SubmitGoal
from shared.contracts.message import Command, Done, Message
from shared.contracts.steps import RunStep, step_key
from shared.errors import NotAllowed, Rejected
from shared.messaging.consume import decode
from shared.messaging.database import Unit
from shared.messaging.definitions import CLIENT, client_may_publish
from shared.messaging.envelope import (
    ATTEMPT,
    ORIGIN_QUEUE,
    ORIGIN_TYPE,
    REASON,
    RETRIED,
    SENDER,
    TRACE,
    Envelope,
    Outgoing,
    reply_allowed,
)
from shared.messaging.ids import derived_id, goal_id_for
from shared.messaging.topology import COMMANDS, WORK_QUEUES

_OF_THE_FAILURE = frozenset({ATTEMPT, REASON, TRACE, ORIGIN_QUEUE, ORIGIN_TYPE, SENDER})
"""Headers that tell how it failed; what goes out again starts afresh."""
_QUEUES = frozenset(queue.name for queue in WORK_QUEUES)


@dataclass(frozen=True)
class Letter:
    """A parked message that is about to go out again. `row`: its columns. `came`: its envelope, headers included."""

    row: Any
    came: Envelope

    @property
    def sender(self) -> str:
        return sender_of(self.came)

    @property
    def message_id(self) -> str:
        return self.came.message_id or derived_id("retried", self.row.id)

    def out(self, *, body: bytes, kind: str, message_id: str, address: tuple[str, str]) -> Outgoing:
        """As if it had never failed, but for a count of how often it was put back."""
        headers = {k: v for k, v in self.came.headers.items() if not k.lower().startswith("x-")}
        kept = {k: v for k, v in headers.items() if k not in _OF_THE_FAILURE}
        before = headers.get(RETRIED)
        reply_to = self.came.reply_to
        return Outgoing(
            exchange=address[0],
            routing_key=address[1],
            body=body,
            message_id=message_id,
            type=kind,
            headers={**kept, SENDER: self.sender, RETRIED: (before if isinstance(before, int) else 0) + 1},
            correlation_id=self.came.correlation_id,
            # we vouch for what we publish: a queue that the sender may not name must not be reached in our name
            reply_to=reply_to if reply_to and reply_allowed(reply_to, self.sender) else None,
        )


@dataclass(frozen=True)
class Workbench:
    """Each handler runs once per request, in one transaction with what it publishes."""

    async def on_retry(self, message: RetryDeadLetters, unit: Unit) -> Done:
        """Raises Rejected when one of them has nowhere to go back to; then none is touched."""
        count = 0
        for letter_id in message.ids:
            letter = await _taken(unit, letter_id)
            if letter:
                address = _address(letter)
                kind = letter.row.type or ""
                unit.publish_as(
                    letter.out(body=letter.row.body, kind=kind, message_id=letter.message_id, address=address)
                )
                count += 1
        return Done(count=count)

    async def on_drop(self, message: DropDeadLetters, unit: Unit) -> Done:
        parked = Parked(unit.connection)
        return Done(count=sum([await parked.take(letter_id) is not None for letter_id in message.ids]))

    async def on_edit(self, message: EditDeadLetter, unit: Unit) -> DeadLetterSent:
        """Raises Rejected when the letter is gone, NotDecodable (naming the field) when the new body is no good."""
        letter = await _taken(unit, message.id)
        if letter is None:
            raise Rejected(f"no dead letter {message.id}", field="id", hint="`warren dead list` lists them")
        kind = message.type or letter.row.type or ""
        body = message.body.encode()
        checked = decode(body, Envelope(type=kind, routing_key=letter.came.routing_key))
        # derived from the request: asked twice, it is sent once; but never the id under which the wrong one is known
        identity = derived_id("edited", letter.row.id, unit.envelope.message_id)
        address = _address_of(letter, checked)
        unit.publish_as(letter.out(body=body, kind=checked.type_name(), message_id=identity, address=address))
        goal_id = goal_id_for(letter.sender, identity) if isinstance(checked, SubmitGoal) else None
        return DeadLetterSent(message_id=identity, type=checked.type_name(), goal_id=goal_id)


async def _taken(unit: Unit, letter_id: str) -> Letter | None:
    found = await Parked(unit.connection).take(letter_id)
    if found is None:
        return None
    row, kept = found
    if not kept:
        raise Rejected(
            f"{row.id} was parked by an older Warren, which did not keep how it came", hint="publish it again yourself"
        )
    return Letter(row, Envelope(**{**json.loads(kept), "headers": json.loads(row.headers)}))


def _address(letter: Letter) -> tuple[str, str]:
    """Exchange and routing key: the queue that it failed in, or what it was published with if it reached none."""
    if never_arrived(letter.came):
        return COMMANDS, letter.came.routing_key
    queue = str(letter.row.queue).removesuffix(".suspect")
    if queue in _QUEUES:
        return "", queue
    if letter.row.type == RunStep.type_name():  # an agent from outside: if its queue is gone, it is parked again
        return COMMANDS, step_key(queue.removesuffix(".v1"))
    raise Rejected(f"{letter.row.id} came from {queue}, which is no queue of this mesh")


def _address_of(letter: Letter, message: Message) -> tuple[str, str]:
    """Of a corrected message. Raises NotAllowed where its sender could not have published it himself."""
    same = message.type_name() == letter.row.type
    if same and not never_arrived(letter.came):
        return _address(letter)
    if not isinstance(message, Command):
        raise NotAllowed(f"type: {message.type_name()} is no command", field="type")
    key = step_key(message.agent) if isinstance(message, RunStep) else message.key()
    ours = same and letter.sender not in ("", CLIENT)
    if not ours and not client_may_publish(key):
        raise NotAllowed(f"type: a client may not publish {key}", field="type", hint=_hint())
    return COMMANDS, key


def _hint() -> str:
    names = sorted(n for n, c in CONTRACTS.items() if issubclass(c, Command) and client_may_publish(c.key()))
    return "one of " + ", ".join(names)
