"""The way to Docker when one of the socket proxies hangs: real Docker, a real proxy, and a line that goes silent."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from services.watchdog.keyhole import Answering, Keyhole
from services.watchdog.socket_proxy import Proxy, docker_session
from shared.testing.fault_proxy import FaultProxy
from tests.integration.engines import need_docker

DEADLINE_S = 40.0
"""Ten times what it takes: two pings missed."""


class Names(AbstractResolver):
    """One name for several ports of this machine, the hanging one first."""

    def __init__(self, *ports: int) -> None:
        self.ports = ports

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0)
            for port in self.ports
        ]

    async def close(self) -> None: ...


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Where a socket proxy listens."""
    need_docker()
    async with docker_session(Path("/var/run/docker.sock")) as session:
        runner = web.ServerRunner(web.Server(Proxy(session, "warren-test-nothing").handle), shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
        await runner.cleanup()


async def test_a_proxy_that_accepts_and_does_not_answer_is_passed_over(port: int):
    with socket.create_server(("127.0.0.1", 0)) as hanging:  # the kernel accepts for it, as for a paused container
        resolver = Answering(Names(hanging.getsockname()[1], port))
        found = await resolver.resolve("socket-proxy", 2375)
    assert [one["port"] for one in found] == [port]


async def test_where_none_answers_all_are_named(port: int):
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        ports = (hanging.getsockname()[1], hanging.getsockname()[1])
        found = await Answering(Names(*ports)).resolve("socket-proxy", 2375)
    assert [one["port"] for one in found] == list(ports)


async def test_the_stream_ends_when_its_proxy_goes_silent(port: int):
    async with FaultProxy.to(f"tcp://localhost:{port}") as line:
        keyhole = Keyhole(line.url.replace("127.0.0.1", "localhost"))
        try:
            reading = asyncio.create_task(_all(keyhole))
            async with asyncio.timeout(DEADLINE_S):
                while not line.connections:
                    await asyncio.wait({reading}, timeout=0.05)
                line.hold()
                await reading
        finally:
            await keyhole.close()


async def _all(keyhole: Keyhole) -> None:
    async for _ in keyhole.events(time.time()):
        pass
