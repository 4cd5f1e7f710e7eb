"""Request and reply with a deadline: many in flight at once, replies matched by causation id."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar
from uuid import uuid4

import structlog
from aio_pika import IncomingMessage
from pydantic import ValidationError

from shared.contracts.message import Command, Message, Refused
from shared.crashpoints import reached
from shared.errors import NoReply, RequestFailed, WarrenError
from shared.messaging.broker import envelope_of
from shared.messaging.consume import decode
from shared.messaging.envelope import DEADLINE, Envelope, Outgoing
from shared.messaging.publish import Stamp

log = structlog.get_logger()
R = TypeVar("R", bound=Message)


@dataclass
class Requests:
    """Asks and waits. `reply_to` is this process's own queue; `publish` sends and waits for the confirm."""

    stamp: Stamp
    reply_to: str
    publish: Callable[[Outgoing], Awaitable[None]]
    _open: dict[str, tuple[Outgoing, "asyncio.Future[Message]"]] = field(default_factory=dict)

    async def ask(
        self,
        command: Command,
        reply: type[R],
        *,
        deadline_s: float = 10.0,
        cause: Envelope | None = None,
        message_id: str | None = None,
    ) -> R:
        """The answer to a command. The same `message_id` asks the same question again: owners answer it once.

        Raises RequestFailed when it was refused, NoReply when nobody answered within `deadline_s` seconds.
        """
        out = self._outgoing(command, message_id=message_id or str(uuid4()), cause=cause, deadline_s=deadline_s)
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._open[out.message_id] = (out, future)
        try:
            async with asyncio.timeout(deadline_s):
                await self.publish(out)
                reached("asked")
                answer = await future
        except TimeoutError:
            raise NoReply(f"{command.owner} did not answer {command.name} within {deadline_s:g} s") from None
        finally:
            self._open.pop(out.message_id, None)
        if isinstance(answer, Refused):
            raise RequestFailed(answer.reason, kind=answer.error, field=answer.field, hint=answer.hint)
        if not isinstance(answer, reply):
            raise WarrenError(f"{command.name} was answered with {answer.type_name()}")
        return answer

    def _outgoing(self, command: Command, *, message_id: str, cause: Envelope | None, deadline_s: float) -> Outgoing:
        goal_id = getattr(command, "goal_id", None)
        out = self.stamp.outgoing(command, message_id=message_id, cause=cause, subject=goal_id)
        # Whole seconds: the AMQP library sends a float header with 32 bits, a minute off for a time of day.
        headers = {**out.headers, DEADLINE: math.ceil(time.time() + deadline_s)}
        return replace(out, reply_to=self.reply_to, headers=headers, persistent=False)

    async def publish_open_again(self) -> None:
        """After a reconnect: our queue was gone for a moment, so any answer may have been dropped."""
        for out, future in list(self._open.values()):
            if not future.done():
                await self.publish(out)

    async def on_reply(self, message: IncomingMessage) -> bool:
        """True if this was a reply that somebody waits for."""
        envelope = envelope_of(message, queue=self.reply_to)
        waiting = self._open.get(envelope.causation_id or "")
        if waiting is None or envelope.routing_key.startswith("evt."):  # an event that our request caused: no answer
            return False
        future = waiting[1]
        if not future.done():
            try:
                future.set_result(decode(message.body, envelope))
            except (WarrenError, ValidationError) as error:
                future.set_exception(error)
        return True
