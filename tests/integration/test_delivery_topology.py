"""The wire map on real brokers, old and new."""

import aio_pika
import pytest

from shared.messaging import topology
from tests.integration.wire import DEADLINE_S, declare, soon, wire_to


async def test_declaring_it_twice_is_harmless(amqp_url: str) -> None:
    await declare(amqp_url)
    await declare(amqp_url)
    async with wire_to(amqp_url) as wire:
        for queue in topology.queues():
            assert await wire.depth(queue.name) == 0


async def test_a_message_declared_for_one_queue_survives_a_second_declaration(amqp_url: str) -> None:
    async with wire_to(amqp_url) as wire:
        await wire.publish(b"{}", key="cmd.memory.forget.v1")
        await declare(amqp_url)
        assert (await wire.take("memory.v1")).body == b"{}"


async def test_every_binding_leads_to_its_queue(amqp_url: str) -> None:
    async with wire_to(amqp_url) as wire:
        for binding in topology.bindings():
            if binding.exchange not in (topology.COMMANDS, topology.EVENTS):
                continue
            body = f"{binding.key} {binding.queue}".encode()
            await wire.publish(body, exchange=binding.exchange, key=binding.key.replace("*", "x"))
            assert (await wire.take(binding.queue)).body == body


async def test_a_command_that_no_queue_takes_is_a_dead_letter(amqp_url: str) -> None:
    async with wire_to(amqp_url) as wire:
        await wire.publish(b"lost?", key="cmd.nobody.do_it.v1", message_id="m1")
        letter = await wire.take(topology.DEAD_LETTERS)
        assert (letter.body, letter.message_id, letter.routing_key) == (b"lost?", "m1", "cmd.nobody.do_it.v1")


@pytest.mark.parametrize("retry", topology.RETRY_QUEUES[:2], ids=lambda retry: retry.label)
async def test_a_retry_queue_gives_back_to_the_queue_that_the_key_names(
    amqp_url: str, retry: topology.RetryQueue
) -> None:
    async with wire_to(amqp_url) as wire, wire.listen("inference.v1") as arrived:
        await wire.publish(b"again", exchange=retry.exchange, key="inference.v1", message_id="m1", reply_to="client.x")
        message = await soon(arrived)
        assert (message.body, message.message_id, message.reply_to) == (b"again", "m1", "client.x")
        assert not message.redelivered


async def test_a_long_delay_does_not_hold_back_a_short_one(amqp_url: str) -> None:
    async with wire_to(amqp_url) as wire, wire.listen("inference.v1") as arrived:
        long, short = topology.RETRY_QUEUES[1], topology.RETRY_QUEUES[0]
        await wire.publish(b"long", exchange=long.exchange, key="inference.v1")
        await wire.publish(b"short", exchange=short.exchange, key="inference.v1")
        assert [(await soon(arrived)).body for _ in range(2)] == [b"short", b"long"]


async def test_a_suspect_that_kills_its_consumer_alone_becomes_a_dead_letter(amqp_url: str) -> None:
    async with wire_to(amqp_url) as wire:
        await wire.publish(b"killer", exchange="", key="memory.v1.suspect")
        for _ in range(2):
            await _die_with(amqp_url, "memory.v1.suspect")
        letter = await wire.take(topology.DEAD_LETTERS)
        assert letter.body == b"killer"
        assert letter.headers["x-death"][0]["reason"] == "delivery_limit"


async def test_a_work_queue_gives_a_message_back_however_often_its_consumer_dies(amqp_url: str) -> None:
    async with wire_to(amqp_url) as wire:
        await wire.publish(b"innocent", key="cmd.memory.forget.v1")
        for _ in range(25):
            await _die_with(amqp_url, "memory.v1")
        assert (await wire.take("memory.v1")).body == b"innocent"


async def _die_with(url: str, queue: str) -> None:
    """A consumer takes a message and its connection ends without an ack."""
    connection = await aio_pika.connect(url)
    channel = await connection.channel()
    message = await (await channel.get_queue(queue, ensure=False)).get(timeout=DEADLINE_S, fail=False)
    while message is None:
        message = await (await channel.get_queue(queue, ensure=False)).get(timeout=DEADLINE_S, fail=False)
    await connection.close()
