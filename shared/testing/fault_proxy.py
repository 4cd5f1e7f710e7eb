"""A TCP proxy that breaks on command: cut, refuse, delay, slow, hold back, half-open. For tests of anything over TCP.

    async with FaultProxy.to("amqp://guest:guest@127.0.0.1:5672/") as proxy:
        link = connect(proxy.url)
        proxy.cut()

Plain asyncio, nothing else: it needs no rights and no kernel module.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from typing import Any

from yarl import URL

CHUNK = 64 * 1024
QUEUED = 64
"""Chunks in the proxy, each way of each connection; then its sender waits."""
TRICKLE_S = 0.05


@dataclass(eq=False)
class _Pair:
    """One client's connection and ours to the target. `deaf`: what either side says is swallowed, neither is told."""

    client: asyncio.StreamWriter
    target: asyncio.StreamWriter
    deaf: bool = False

    def cut(self) -> None:
        for writer in (self.client, self.target):
            writer.transport.abort()


@dataclass
class FaultProxy:
    """Listens on a free port of 127.0.0.1 and passes bytes to `host:port`, both ways, until told otherwise.

    All faults act at once and may be combined. None raises when there is no connection to break.
    """

    host: str
    port: int
    delay_s: float = 0.0
    """Every chunk waits this long, each way, before it is passed on; chunks keep their order."""
    bytes_s: float | None = None
    """Bytes a second that pass, each way of each connection, as over a slow line; None: as many as come. What is faster
    waits in the proxy, at last with its sender. May be changed at any time."""
    accepted: int = 0
    """Connections so far: a client that came back is counted again."""
    _pairs: set[_Pair] = field(default_factory=set)
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)
    _refusing: bool = False

    def __post_init__(self) -> None:
        self._flow = asyncio.Event()
        self._flow.set()
        self._url = URL()
        self._server: asyncio.Server

    @classmethod
    @contextlib.asynccontextmanager
    async def to(cls, url: str) -> AsyncIterator["FaultProxy"]:
        """A proxy before the server of this URL; `proxy.url` is the same address by way of the proxy."""
        target = URL(url)
        proxy = cls(target.host or "127.0.0.1", target.port or 5672)
        proxy._server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
        own_port = proxy._server.sockets[0].getsockname()[1]
        proxy._url = target.with_host("127.0.0.1").with_port(own_port)
        try:
            yield proxy
        finally:
            await proxy._close()

    @property
    def url(self) -> str:
        return str(self._url)

    @property
    def connections(self) -> int:
        """Open now, those that are half-open included."""
        return len(self._pairs)

    def cut(self) -> None:
        """Every connection ends now, for both sides (RST). New ones are welcome."""
        for pair in list(self._pairs):
            pair.cut()

    def refuse(self) -> None:
        """Cut, and from now on every new connection is closed at once: the server is down."""
        self._refusing = True
        self.cut()

    def accept(self) -> None:
        """The server is back."""
        self._refusing = False

    def half_open(self) -> None:
        """Connections that are open now go silent for good and nobody is told, as when a cable is pulled or the peer's
        machine loses power. New ones work."""
        for pair in self._pairs:
            pair.deaf = True

    def hold(self) -> None:
        """Nothing passes on any connection until `release`; nothing is lost: a network that is away for a moment."""
        self._flow.clear()

    def release(self) -> None:
        """What was held back passes, in order."""
        self._flow.set()

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        if self._refusing:
            client.transport.abort()
            return
        try:
            target_reader, target = await asyncio.open_connection(self.host, self.port)
        except OSError:
            client.transport.abort()
            return
        self.accepted += 1
        pair = _Pair(client, target)
        self._pairs.add(pair)
        ways = [
            self._spawn(self._pump(pair, reader, target)),
            self._spawn(self._pump(pair, target_reader, client)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pair.cut()
            self._pairs.discard(pair)

    async def _pump(self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One way. Chunks are delivered by a second task, so that a delay does not slow down what is behind it."""
        loop = asyncio.get_running_loop()
        chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=QUEUED)
        deliver = self._spawn(self._deliver(pair, chunks, writer))
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK):
                await chunks.put((loop.time() + self.delay_s, chunk))
        if pair.deaf:
            await asyncio.Event().wait()  # its end is not told to the other side either
        await chunks.put((0.0, b""))
        await deliver

    async def _deliver(
        self, pair: _Pair, chunks: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter
    ) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while True:
                due, chunk = await chunks.get()
                if not chunk:
                    return
                await asyncio.sleep(max(0.0, due - loop.time()))
                while chunk and not writer.is_closing():
                    size = self._at_once(chunk)
                    part, chunk = chunk[:size], chunk[size:]
                    await self._flow.wait()
                    if self.bytes_s:
                        await asyncio.sleep(len(part) / self.bytes_s)
                    if not pair.deaf:
                        writer.write(part)
                        await writer.drain()

    def _at_once(self, chunk: bytes) -> int:
        """All of it, or on a slow line what passes in a twentieth of a second: it trickles."""
        return max(1, int(self.bytes_s * TRICKLE_S)) if self.bytes_s else len(chunk)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _close(self) -> None:
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
