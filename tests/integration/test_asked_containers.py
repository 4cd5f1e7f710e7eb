"""Containers that are asked whether they live: a broker that answers, one that only listens, and one that nobody can
reach from here, which is not held against it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from services.watchdog import asked_containers
from services.watchdog.amqp_hello import CONNECTION_START, PROTOCOL_HEADER, Answer, ask
from services.watchdog.asked_containers import AskedContainers, amqp_port
from services.watchdog.containers import Container
from services.watchdog.liveness import Beat

HERE = "127.0.0.1"
SOON_S = 20.0
START = b"\x01\x00\x00\x00\x00\x01\x00" + CONNECTION_START
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def greets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    assert await reader.readexactly(len(PROTOCOL_HEADER)) == PROTOCOL_HEADER
    writer.write(START)
    await reader.read()
    writer.close()


async def listens_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def says_something_else(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 \r\n\r\n")
    writer.close()


@asynccontextmanager
async def server(serve: Serve) -> AsyncIterator[int]:
    """Its port. Whoever is still served at the end is hung up on."""
    guests: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}

    def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        guests[writer] = asyncio.ensure_future(serve(reader, writer))

    listening = await asyncio.start_server(welcome, HERE, 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1]
    for writer, task in guests.items():
        task.cancel()
        writer.transport.abort()
    await asyncio.gather(*guests.values(), return_exceptions=True)


def container(port: int, **more: object) -> Container:
    """Its id is a name that this machine finds, as a container's is on Docker's networks."""
    asked = Container(HERE, "rabbitmq-1", "rabbitmq", running=True, health="healthy", asks=f"amqp:{port}")
    return replace(asked, **more)  # type: ignore[arg-type]


async def first_beat(asked: AskedContainers, of: Container) -> Beat:
    async with asyncio.timeout(SOON_S):
        while not (beat := asked.beat(of)):
            await asyncio.to_thread(lambda: None)
        return beat


@pytest.fixture
async def asked() -> AsyncIterator[AskedContainers]:
    asked = AskedContainers()
    yield asked
    await asked.close()


@pytest.mark.parametrize(
    ("serve", "answer"), [(greets, Answer.ALIVE), (listens_only, Answer.SILENT), (says_something_else, Answer.SILENT)]
)
async def test_only_amqps_first_word_is_life(serve: Serve, answer: Answer):
    async with server(serve) as port:
        assert await ask(HERE, port, timeout_s=SOON_S if answer is Answer.ALIVE else 0.3) is answer


async def test_a_closed_port_is_silence_and_a_name_that_nobody_knows_is_no_way():
    async with server(greets) as port:
        pass
    assert await ask(HERE, port, timeout_s=SOON_S) is Answer.SILENT
    assert await ask("no-such-container.invalid", port, timeout_s=SOON_S) is Answer.NO_WAY


async def test_a_broker_that_answers_beats_as_long_as_its_container_runs(asked: AskedContainers):
    async with server(greets) as port:
        broker = container(port)
        asked.follow(broker)
        assert (await first_beat(asked, broker)).ready
        asked.follow(replace(broker, running=False))
        assert not asked.asks(broker)
        assert asked.beat(broker) is None
        asked.follow(broker)  # started again: what it said in its last life does not count
        assert asked.beat(broker) is None
        assert not (await first_beat(asked, replace(broker, health="starting"))).ready


async def test_a_broker_that_only_listens_does_not_beat(asked: AskedContainers, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(asked_containers, "ANSWER_TIMEOUT_S", 0.2)
    asked_twice = asyncio.Event()
    seen = 0

    async def counts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        seen += 1
        if seen == 2:
            asked_twice.set()
        await listens_only(reader, writer)

    async with server(counts) as port:
        hung = container(port)
        asked.follow(hung)
        await asyncio.wait_for(asked_twice.wait(), SOON_S)
        assert asked.beat(hung) is None


async def test_one_that_cannot_be_reached_from_here_is_not_held_to_be_silent(asked: AskedContainers):
    away = container(5672, id="no-such.inva")
    asked.follow(away)
    assert await first_beat(asked, away)


@pytest.mark.parametrize(("asks", "port"), [("amqp:5672", 5672), ("health", None), (None, None), ("amqp:x", None)])
def test_the_label_says_who_asks(asks: str | None, port: int | None):
    assert amqp_port(asks) == port
