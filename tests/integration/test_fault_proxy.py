"""The slow line of the fault proxy: what passes, how soon, and that nothing is lost. Its other faults are shown where
they are used: `test_delivery_requests.py`, `test_planner_consumer_timeout.py`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from shared.contracts.findings import Forget
from shared.contracts.message import Done
from shared.runtime.client import Client
from shared.testing.fault_proxy import FaultProxy
from tests.integration.scratch import scratch_on
from tests.integration.wire import DEADLINE_S, wire_to

BODY = bytes(range(256)) * 40  # 10,240 bytes


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(4096):
            writer.write(chunk)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def there_and_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[float, float]:
    """Seconds until the first byte came back, and the last."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    writer.write(BODY)
    first = await reader.readexactly(1)
    first_s = loop.time() - begun
    assert first + await reader.readexactly(len(BODY) - 1) == BODY
    return first_s, loop.time() - begun


async def test_a_slow_line_passes_so_many_bytes_a_second_and_all_of_them() -> None:
    async with echo() as url, FaultProxy.to(url) as proxy, asyncio.timeout(DEADLINE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.rpartition(":")[2]))
        _, at_full_speed = await there_and_back(reader, writer)
        proxy.bytes_s = 20_000
        first, last = await there_and_back(reader, writer)
        assert last >= len(BODY) / 20_000, "half a second, each way at the same time"
        assert first < last / 2, "it trickles, it does not come in one piece"
        proxy.bytes_s = None
        _, again = await there_and_back(reader, writer)
        assert max(at_full_speed, again) < last
        writer.close()


async def test_a_slow_line_can_be_cut_in_the_middle() -> None:
    async with echo() as url, FaultProxy.to(url) as proxy, asyncio.timeout(DEADLINE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.rpartition(":")[2]))
        proxy.bytes_s = 100
        writer.write(BODY)
        assert await reader.readexactly(1) == BODY[:1]
        proxy.cut()
        try:
            rest = await reader.read()
        except ConnectionError:
            rest = b""
        assert len(rest) < len(BODY) - 1
        writer.close()


async def test_requests_over_a_slow_line_are_slow_and_none_is_lost(amqp_url: str, tmp_path: Path) -> None:
    async with (
        wire_to(amqp_url),
        FaultProxy.to(amqp_url) as proxy,
        scratch_on(amqp_url, tmp_path) as scratch,
        Client.connect(proxy.url, timeout_s=DEADLINE_S) as client,
    ):
        proxy.bytes_s = 20_000
        loop = asyncio.get_running_loop()
        begun = loop.time()
        asks = [client.ask(Forget(finding_id=f"{n}"), Done, deadline_s=DEADLINE_S) for n in range(50)]
        assert await asyncio.gather(*asks) == [Done(count=1)] * 50
        assert loop.time() - begun >= 0.5, "each of them has 200 bytes and more"
        assert len(await scratch.done()) == 50
        proxy.bytes_s = None
