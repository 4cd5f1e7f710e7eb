"""A dead letter whose handler fails is delivered again, and does not stop those behind it for good."""

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest

from shared.messaging.envelope import Envelope, Outgoing
from shared.messaging.topology import DEAD, DEAD_LETTERS
from shared.runtime import service as runtime
from shared.runtime.service import Service
from shared.runtime.settings import MeshSettings


async def test_a_raw_message_whose_handler_failed_comes_again(
    amqp_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "GIVE_BACK_S", 0.01)
    service = Service("planner", MeshSettings(home=tmp_path, amqp_url=amqp_url))
    mine, arrived = str(uuid4()), asyncio.Queue[bool]()

    async def fails_once(envelope: Envelope, _: bytes) -> None:
        if envelope.message_id == mine:
            await arrived.put(envelope.redelivered)
            if not envelope.redelivered:
                raise OSError("the database is away")

    service.drain_raw(DEAD_LETTERS, fails_once)
    await service.start(wait_s=60)
    try:
        await service.link.publish(Outgoing(exchange=DEAD, routing_key="", body=b"x", message_id=mine, type="odd.v1"))
        async with asyncio.timeout(30):
            assert [await arrived.get(), await arrived.get()] == [False, True]
    finally:
        await service.stop()
