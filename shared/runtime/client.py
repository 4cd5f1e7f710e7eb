"""A client of the mesh: asks, publishes and watches. What the `warren` command uses, and any Python program may."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar
from uuid import uuid4

from aio_pika import IncomingMessage

from shared.contracts.generation import CallKey, Generate
from shared.contracts.message import Command, Event, Message
from shared.errors import WarrenError
from shared.messaging.broker import Link, envelope_of
from shared.messaging.consume import decode
from shared.messaging.ids import goal_id_for
from shared.messaging.publish import Stamp
from shared.messaging.request import Requests
from shared.messaging.topology import heard
from shared.runtime.tokens import TokenPiece, follow

R = TypeVar("R", bound=Message)


class Client:
    """One connection with a queue of its own, `client.<id>`. Use `async with Client.connect(url) as client`."""

    def __init__(self, url: str) -> None:
        self.queue = f"client.{uuid4().hex}"
        self._link = Link(url, name="warren-cli")
        self._stamp = Stamp("client", self.queue)
        self._requests = Requests(self._stamp, self.queue, self._link.publish)
        self._watchers: dict[str, list[tuple[asyncio.Queue[Event], tuple[type[Event], ...]]]] = {}
        self._binding = asyncio.Lock()

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
    async def watch(self, subject: str, *events: type[Event], most: int = 0) -> AsyncIterator["asyncio.Queue[Event]"]:
        """A queue on which these events about this subject arrive from now on, through reconnects; at most once each.

        What was published while the connection was down is not among them: ask the owner (`EventsSince`) to fill gaps.
        `most`: how many may wait to be taken; then the oldest give way. 0: any number.
        """
        arrived: asyncio.Queue[Event] = asyncio.Queue(most)
        watcher = (arrived, events)
        keys = [heard(event).removesuffix("*") + subject for event in events]
        self._watchers.setdefault(subject, []).append(watcher)
        async with self._binding:
            for key in keys:
                await self._link.bind_own(key)
        try:
            yield arrived
        finally:
            self._watchers[subject].remove(watcher)
            async with self._binding:  # one after another: somebody may begin to watch what nobody watched
                if not self._watchers.get(subject):
                    self._watchers.pop(subject, None)
                    await self._link.unbind_own(keys)

    def tokens(self, call: Generate | CallKey, *, deadline_s: float = 600.0) -> AsyncGenerator[TokenPiece, None]:
        """The answer of a model while it is written: asks for it (`Generate`), or looks on at a call that others made.

            async with contextlib.aclosing(client.tokens(request)) as pieces:
                async for piece in pieces:
                    ...

        Yields `Text`, what comes next; `Restarted`: what came so far is void (the model's host or inference died, and
        the call was made again); at last `Ended`, with the whole `Generated`. The texts since the last `Restarted` make
        up its text, whatever was lost on the way. Raises NoReply when it has not ended within `deadline_s` seconds.
        Whoever takes pieces slowly gets larger ones. Stopping early does not stop the call.
        """
        return follow(self, call, deadline_s=deadline_s)

    async def _on_message(self, message: IncomingMessage) -> None:
        if await self._requests.on_reply(message):
            return
        envelope = envelope_of(message, queue=self.queue)
        subject = envelope.routing_key.rpartition(".")[2]
        with contextlib.suppress(WarrenError):  # a newer event than this client knows is nothing to stop for
            event = decode(message.body, envelope)
            for arrived, wanted in self._watchers.get(subject, []):
                if isinstance(event, wanted):
                    if arrived.full():
                        arrived.get_nowait()
                    arrived.put_nowait(event)
