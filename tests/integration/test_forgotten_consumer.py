"""A consumer that the broker has forgotten, on real brokers: connected, live, and deaf, until it asks."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from aio_pika import IncomingMessage

from shared.contracts.findings import Forget
from shared.messaging.broker import Link
from shared.runtime.consumers import keep_consuming
from shared.testing.fault_proxy import FaultProxy
from tests.integration.scratch import KEY, QUEUE, Scratch, scratch_on
from tests.integration.wire import Wire, wire_to

DEADLINE_S = 60.0


@pytest.fixture
async def wire(amqp_url: str) -> AsyncIterator[Wire]:
    async with wire_to(amqp_url) as wire:
        yield wire


@pytest.fixture
async def scratch(amqp_url: str, wire: Wire, tmp_path: Path) -> AsyncIterator[Scratch]:
    async with scratch_on(amqp_url, tmp_path) as scratch:
        yield scratch


async def deafen(scratch: Scratch) -> None:
    """The broker drops the consumer, and the process is not told."""
    subscriber = scratch.service.link._subscribers[QUEUE.name]
    channel = await subscriber._queue_obj.channel.get_underlay_channel()
    await channel.basic_cancel(subscriber._consumer_tag)


async def test_a_deaf_consumer_subscribes_again(wire: Wire, scratch: Scratch):
    link = scratch.service.link
    assert await link.forgotten() == []
    await deafen(scratch)
    assert await link.forgotten() == [QUEUE.name]
    assert link.connected
    keeping = asyncio.create_task(keep_consuming(link, every_s=0.2))
    try:
        what = f"heard again {uuid4().hex}"
        await wire.publish(Forget(finding_id=what).encode(), key=KEY)
        async with asyncio.timeout(DEADLINE_S):
            while what not in await scratch.done():
                await asyncio.to_thread(lambda: None)
        assert await link.forgotten() == []
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def test_a_half_open_connection_is_given_up_and_its_consumer_is_heard_again(amqp_url: str, wire: Wire):
    """Heartbeats of 1 s here, of 10 s as shipped: noticed after two or three of them, by either side."""
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def on_message(message: IncomingMessage) -> None:
        await message.ack()
        heard.put_nowait(message.message_id or "")

    async with FaultProxy.to(amqp_url) as proxy:
        link = Link(proxy.url, name="half-open", heartbeat_s=1)
        await link.connect(wait_s=DEADLINE_S)
        link.consume(QUEUE.name, on_message, prefetch=1)
        await link.start()
        try:
            proxy.half_open()
            sent = await wire.publish(Forget(finding_id="after").encode(), key=KEY)
            async with asyncio.timeout(DEADLINE_S):
                assert await heard.get() == sent
            assert proxy.accepted == 2
        finally:
            await link.close()
