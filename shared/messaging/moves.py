"""Messages on their way to the suspect queue, so that none of them is begun there before its original is settled.

The copy comes back to the same process within a millisecond. If its handler kills the process before the original's ack
has reached the broker, the original is delivered again, copied again, and so on: a loop of deaths, seen with a handler
that dies at once.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aio_pika import IncomingMessage
from aiormq.exceptions import AMQPError

ROUND_TRIP_S = 5.0


class Moves:
    """Of one process. Use from one event loop."""

    def __init__(self) -> None:
        self._open = 0
        self._none = asyncio.Event()
        self._none.set()

    @contextlib.asynccontextmanager
    async def one(self, message: IncomingMessage, *, prefetch: int) -> AsyncIterator[None]:
        """Around the copying and acknowledging of one message; ends when the broker has seen the ack."""
        self._open += 1
        self._none.clear()
        try:
            yield
            await _seen(message, prefetch)
        finally:
            self._open -= 1
            if not self._open:
                self._none.set()

    async def done(self) -> None:
        """Returns when nothing is on its way."""
        await self._none.wait()


async def _seen(message: IncomingMessage, prefetch: int) -> None:
    """An ack has no answer of its own: any request that follows it on its channel is answered after it was applied."""
    with contextlib.suppress(AMQPError, ConnectionError, RuntimeError, TimeoutError):
        async with asyncio.timeout(ROUND_TRIP_S):
            await message.channel.basic_qos(prefetch_count=prefetch)
