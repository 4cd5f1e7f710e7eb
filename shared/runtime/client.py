"""A client of the mesh: asks, publishes and watches. What the `warren` command uses, and any Python program may."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TypeVar
from uuid import uuid4

from aio_pika import IncomingMessage

from shared.contracts.message import Command, Event, Message
from shared.errors import WarrenError
from shared.messaging.broker import Link, envelope_of
from shared.messaging.consume import decode
from shared.messaging.ids import goal_id_for
from shared.messaging.publish import Stamp
from shared.messaging.request import Requests
from shared.messaging.topology import heard

R = TypeVar("R", bound=Message)


class Client:
    """One connection with a queue of its own, `client.<id>`. Use `async with Client.connect(url) as client`."""

    def __init__(self, url: str) -> None:
        self.queue = f"client.{uuid4().hex}"
        self._link = Link(url, name="warren-cli")
        self._stamp = Stamp("client", self.queue)
        self._requests = Requests(self._stamp, self.queue, self._link.publish)
        self._watchers: dict[str, list[asyncio.Queue[Event]]] = {}

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(cls, url: str, *, timeout_s: float = 5.0) -> AsyncIterator["Client"]:
        """Raises NoMesh when no broker answers within `timeout_s` seconds."""
        client = cls(url)
        await client._link.connect(wait_s=timeout_s)
        client._link.consume_own(client.queue, client._on_message)
        client._link.on_reconnected.append(client._requests.publish_open_again)
        await client._link.start()
        try:
            yield client
        finally:
            await client._link.close()

    @property
    def user(self) -> str:
        return self._link.user

    @property
    def connected(self) -> bool:
        return self._link.connected

    def goal_id(self, message_id: str) -> str:
        """The id of the goal that a message with this id submits."""
        return goal_id_for(self.user, message_id)

    async def ask(
        self, command: Command, reply: type[R], *, deadline_s: float = 10.0, message_id: str | None = None
    ) -> R:
        """Raises RequestFailed when it was refused, NoReply when nobody answered in time."""
        return await self._requests.ask(command, reply, deadline_s=deadline_s, message_id=message_id)

    async def publish(self, command: Command, *, message_id: str | None = None) -> str:
        """Publishes and waits for the confirm: from then on the mesh has it. Returns the message id."""
        identity = message_id or str(uuid4())
        await self._link.publish(self._stamp.outgoing(command, message_id=identity))
        return identity

    @contextlib.asynccontextmanager
    async def watch(self, subject: str, *events: type[Event]) -> AsyncIterator["asyncio.Queue[Event]"]:
        """A queue on which these events about this subject arrive from now on, through reconnects; at most once each.

        What was published while the connection was down is not among them: ask the owner (`EventsSince`) to fill gaps.
        """
        arrived: asyncio.Queue[Event] = asyncio.Queue()
        keys = [heard(event).removesuffix("*") + subject for event in events]
        self._watchers.setdefault(subject, []).append(arrived)
        for key in keys:
            await self._link.bind_own(key)
        try:
            yield arrived
        finally:
            self._watchers[subject].remove(arrived)

    async def _on_message(self, message: IncomingMessage) -> None:
        if await self._requests.on_reply(message):
            return
        envelope = envelope_of(message, queue=self.queue)
        subject = envelope.routing_key.rpartition(".")[2]
        with contextlib.suppress(WarrenError):  # a newer event than this client knows is nothing to stop for
            event = decode(message.body, envelope)
            for arrived in self._watchers.get(subject, []):
                if isinstance(event, Event):
                    arrived.put_nowait(event)
