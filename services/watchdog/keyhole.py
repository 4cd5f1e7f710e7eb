"""The watchdog's way to Docker: by whichever socket proxy answers now.

Several proxies share one name. One that hangs (stopped, paused) still accepts connections, since the kernel does that
for it, and would keep a call, or the stream of events, for ever. So all are asked before each connection and one
that answers is taken, calls have a time limit, and the proxy of the stream is asked again all the time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from aiodocker import Docker
from aiohttp import ClientTimeout, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver

ANSWER_S, WATCH_S, MISSED = 1.0, 0.5, 2
"""How long a proxy may take to answer a ping, how often the stream's is asked, and how often it may fail to answer."""
CALL_S, CONNECT_S = 10.0, 1.0
"""Docker takes seconds to start a container on a busy machine; none of our calls takes longer than that."""
log = structlog.get_logger()


@dataclass
class Reach:
    """Whether any proxy can be reached. `lost_at`: since when none can, in seconds since the epoch."""

    lost_at: float | None = None

    def lost(self, at: float, reason: str) -> None:
        """Said once, with the first moment."""
        if self.lost_at is None:
            self.lost_at = at
            log.error("docker_not_reachable", reason=reason, hint="nobody can be restarted: docker compose up -d")

    def found(self) -> None:
        """One answers."""
        if self.lost_at is not None:
            log.info("docker_reached_again", away_s=round(time.time() - self.lost_at, 1))
            self.lost_at = None


class Answering(AbstractResolver):
    """The one address of a name that answers first; all of them where none does."""

    def __init__(self, names: AbstractResolver | None = None) -> None:
        self._names = names or DefaultResolver()
        self.taken: ResolveResult | None = None

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        found = await self._names.resolve(host, port, family)
        self.taken = await _first_to_answer(found)
        return [self.taken] if self.taken else found

    async def close(self) -> None:
        await self._names.close()


class Keyhole:
    """`url`: the proxies, e.g. tcp://socket-proxy:2375. `api`: for calls; each takes a connection of its own."""

    def __init__(self, url: str) -> None:
        self._stream_by = Answering()
        self._connectors = [_connector(Answering()), _connector(self._stream_by)]
        limits = ClientTimeout(total=CALL_S, sock_connect=CONNECT_S)
        self.api = Docker(url, self._connectors[0], timeout=limits)
        self._stream = Docker(url, self._connectors[1], timeout=limits)

    async def events(self, since: float) -> AsyncGenerator[Mapping[str, Any]]:
        """Container events from a moment on (seconds since the epoch), until the connection or its proxy is gone."""
        stream: Any = self._stream.events.subscribe(create_task=False)  # type: ignore[no-untyped-call]
        params: dict[str, Any] = {"since": f"{since:.6f}", "filters": json.dumps({"type": ["container"]})}
        reading = asyncio.create_task(self._stream.events.run(**params))
        watching = asyncio.create_task(self._cut_when_silent(reading))
        try:
            while (event := await stream.get()) is not None:
                yield event
        finally:
            watching.cancel()
            reading.cancel()
            ended = await asyncio.gather(reading, watching, return_exceptions=True)
            log.warning("docker_events_ended", reason=repr(ended[0]))

    async def _cut_when_silent(self, reading: asyncio.Task[None]) -> None:
        missed = 0
        while missed < MISSED:
            await asyncio.sleep(WATCH_S)
            proxy = self._stream_by.taken
            missed = 0 if proxy is None or await _answers(proxy) else missed + 1
        log.warning("socket_proxy_silent", address=proxy and proxy["host"])
        reading.cancel()

    async def close(self) -> None:
        for docker, connector in zip((self.api, self._stream), self._connectors, strict=True):
            await docker.close()
            await connector.close()


def _connector(resolver: Answering) -> TCPConnector:
    return TCPConnector(resolver=resolver, use_dns_cache=False, force_close=True)


async def _first_to_answer(found: list[ResolveResult]) -> ResolveResult | None:
    asked = [asyncio.create_task(_answers(one)) for one in found]
    try:
        for done in asyncio.as_completed(asked):
            if await done:
                return next(one for one, task in zip(found, asked, strict=True) if task.done() and task.result())
        return None
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


async def _answers(proxy: ResolveResult) -> bool:
    """Does it pass a ping to Docker and back?"""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_connection(proxy["host"], proxy["port"])
            try:
                writer.write(b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    return False
