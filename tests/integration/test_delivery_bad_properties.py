"""Properties that the AMQP library cannot read or write: text that is not UTF-8, a time beyond all calendars. Any
client may send them by accident (a Latin-1 id, a timestamp in nanoseconds), and they must not take the mesh down."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pamqp.encode
import pytest
from pamqp.commands import Basic

from services.planner.app import build
from services.planner.settings import Settings
from shared.contracts.dead_letters import (
    DeadLetter,
    DeadLetterShown,
    DeadLettersListed,
    ListDeadLetters,
    ShowDeadLetter,
)
from shared.messaging import topology
from shared.runtime.client import Client
from tests.integration.scratch import KEY, Scratch, running, scratch_on
from tests.integration.wire import DEADLINE_S, Wire, soon, text_of, wire_to


@pytest.fixture
async def wire(amqp_url: str) -> AsyncIterator[Wire]:
    async with wire_to(amqp_url) as wire:
        yield wire


@pytest.fixture
async def scratch(amqp_url: str, wire: Wire, tmp_path: Path) -> AsyncIterator[Scratch]:
    async with scratch_on(amqp_url, tmp_path) as scratch:
        yield scratch


BAD = "b\udcffd"
"""Goes on the wire as the bytes 62 ff 64."""
NOW = datetime(2026, 11, 22, tzinfo=UTC)
OURS = {"attempt": "many", "deadline": "soon", "goal_id": [1], "causation_id": 7, "sender": {"a": 1}, "traceparent": 1}
PROPERTIES: dict[str, dict[str, Any]] = {
    "message id": {"message_id": BAD},
    "a long id in another encoding": {"message_id": "\udcff" * 255},
    "correlation id": {"correlation_id": BAD},
    "type": {"message_type": BAD},
    "reply to": {"reply_to": BAD},
    "content type": {"content_type": BAD},
    "priority": {"priority": 255},
    "timestamp in nanoseconds": {"timestamp": 1_763_800_000_000_000_000},
    "timestamp in a header": {"headers": {"at": datetime(9999, 12, 31, tzinfo=UTC)}},
    "a header's name": {"headers": {BAD: 1}},
    "a header's text": {"headers": {"h": BAD, "nested": [{"a": BAD}]}},
    "a header of bytes": {"headers": {"h": bytearray(b"\xff")}},
    "headers of every type": {"headers": {"a": [1, {"b": None}], "d": NOW, "f": 1.5, "g": -(2**63), "t": True}},
    "our own headers, of other types": {"headers": OURS},
    "headers that fill a frame": {"headers": {f"h{n}": "x" * 1005 for n in range(129)}},
}


class Raw(Basic.Properties):
    """Properties that go on the wire as they were when made, right or wrong."""

    def __init__(self, properties: dict[str, Any]) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pamqp.encode, "_string", _text)
            patch.setattr(pamqp.encode, "field_table", _table)
            patch.setattr(pamqp.encode, "timestamp", _time)
            patch.setitem(pamqp.encode.METHODS, "table", _table)
            patch.setitem(pamqp.encode.METHODS, "timestamp", _time)
            patch.setattr(Basic.Properties, "validate", lambda _: None)
            super().__init__(**{"message_id": str(uuid4()), "delivery_mode": 2, **properties})
            self._raw = super().marshal()

    def marshal(self) -> bytes:
        return self._raw


def _text(encoder: struct.Struct, value: str) -> bytes:
    raw = value.encode("utf-8", "surrogateescape")
    return encoder.pack(len(raw)) + raw


def _table(value: dict[str, Any]) -> bytes:
    items = [pamqp.encode.short_string(k) + pamqp.encode.encode_table_value(v) for k, v in value.items()]
    return struct.pack(">I", len(b"".join(items))) + b"".join(items)


def _time(value: Any) -> bytes:
    return struct.pack(">Q", value if isinstance(value, int) else int(value.timestamp()))


async def publish(wire: Wire, what: str, body: bytes, *, key: str = KEY, **more: Any) -> None:
    channel = await wire.channel.get_underlay_channel()
    properties = Raw({**more, **PROPERTIES[what]})
    await channel.basic_publish(body, exchange=topology.COMMANDS, routing_key=key, properties=properties)


UNREADABLE = ("type", "reply to")
"""Without these it cannot be known what it is, or whom to answer."""


async def test_each_kind_is_handled_and_so_is_the_next(wire: Wire, scratch: Scratch) -> None:
    for what in PROPERTIES:
        await publish(wire, what, json.dumps({"finding_id": what}).encode())
        await wire.publish({"finding_id": "next"}, key=KEY, reply_to=wire.reply_to)
        assert text_of(await wire.reply()) == {"count": 1}, what
    done = [what for what in await scratch.done() if what != "next"]
    assert done == [what for what in PROPERTIES if what not in UNREADABLE]
    async with wire.listen(topology.DEAD_LETTERS) as letters:
        reasons = [(await soon(letters)).headers["reason"] for _ in UNREADABLE]
    assert [reason.partition(":")[0] for reason in reasons] == ["type", "reply_to"]


async def test_each_kind_can_be_retried_and_become_a_dead_letter(wire: Wire, scratch: Scratch) -> None:
    async with wire.listen(topology.DEAD_LETTERS) as letters, wire.listen("retry.500ms.v1") as waiting:
        for what in PROPERTIES:
            await publish(wire, what, b'{"finding_id": "reject"}')
            assert (await soon(letters)).body == b'{"finding_id": "reject"}', what
            if what not in UNREADABLE:
                await publish(wire, what, b'{"finding_id": "crash"}')
                assert (await soon(waiting)).headers["attempt"] == 2, what


async def test_the_sender_of_each_kind_is_answered(wire: Wire, scratch: Scratch) -> None:
    for what in PROPERTIES:
        if what != "reply to":
            await publish(wire, what, b'{"finding_id": "odd"}', reply_to=wire.reply_to)
            assert (await wire.reply()).type == ("refused.v1" if what == "type" else "done.v1"), what


async def test_the_planner_parks_and_shows_each_kind(amqp_url: str, wire: Wire, tmp_path: Path) -> None:
    planner = build(Settings(home=tmp_path, amqp_url=amqp_url, instance="planner-1"))
    async with running(planner), Client.connect(amqp_url, timeout_s=DEADLINE_S) as client:
        for what in PROPERTIES:
            await publish(wire, what, b"not JSON", key="cmd.planner.submit_goal.v1")
        async with asyncio.timeout(DEADLINE_S):
            letters: tuple[DeadLetter, ...] = ()
            while len(letters) < len(PROPERTIES):
                letters = (await client.ask(ListDeadLetters(), DeadLettersListed)).dead_letters
        for letter in letters:
            assert (await client.ask(ShowDeadLetter(id=letter.id), DeadLetterShown)).body == "not JSON"
