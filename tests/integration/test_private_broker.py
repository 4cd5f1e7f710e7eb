"""The private RabbitMQ of process mode, for real: starts, restarts and stops without a trace outside its home."""

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aio_pika
import pytest

from services.watchdog import epmd_client
from services.watchdog.rabbitmq_server import (
    BrokerSpec,
    after_exit,
    find_server,
    prepare,
    running_pid,
    stop,
    wait_ready,
)

START_S = 60.0  # ten times what it takes on a quiet machine of two cores
STOP_S = 10.0

pytestmark = pytest.mark.skipif(find_server() is None, reason="no rabbitmq-server here: run infra/setup --broker")

TICK = threading.Event()  # never set
Process = asyncio.subprocess.Process


async def spawn(spec: BrokerSpec) -> Process:
    """As the watchdog's process engine does it: a child in a session of its own."""
    with (spec.folder / "out").open("ab") as out:
        return await asyncio.create_subprocess_exec(
            *spec.argv, env=dict(spec.env), stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip


@asynccontextmanager
async def running(spec: BrokerSpec) -> AsyncIterator[Process]:
    process = await spawn(spec)
    try:
        await wait_ready(spec, timeout_s=START_S)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await after_exit(spec)


async def until(condition: Callable[[], bool], *, timeout_s: float) -> None:
    """Looks again and again: other processes tell us nothing."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.to_thread(TICK.wait, 0.02)


def listeners() -> dict[str, tuple[str, int]]:
    """Every listening TCP socket by its inode: (address in the kernel's hexadecimal, port), what `ss -ltn` prints."""
    found = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            local, state, inode = line.split()[1], line.split()[3], line.split()[9]
            if state == "0A":
                found[inode] = (local.rpartition(":")[0], int(local.rpartition(":")[2], 16))
    return found


LOOPBACK = "0100007F"


def folders_of(spec: BrokerSpec) -> list[Path]:
    """In /proc, of everything that runs with this broker's environment, the mapper and Erlang's helpers included."""
    mark = f"ERL_EPMD_PORT={spec.ports.epmd}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # gone, or another user's
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(folder)
    return found


def processes_of(spec: BrokerSpec) -> list[str]:
    found = []
    for folder in folders_of(spec):
        with contextlib.suppress(OSError):
            found.append((folder / "cmdline").read_text(errors="replace").replace("\0", " ")[:120])
    return found


def listeners_of(spec: BrokerSpec) -> set[tuple[str, int]]:
    """Of this broker alone: others come and go on this machine meanwhile."""
    held = set()
    for folder in folders_of(spec):
        with contextlib.suppress(OSError):  # the process is gone
            for fd in list((folder / "fd").iterdir()):
                with contextlib.suppress(OSError):  # this file is closed
                    held.add(os.readlink(fd))
    return {socket for inode, socket in listeners().items() if f"socket:[{inode}]" in held}


async def put(spec: BrokerSpec, body: bytes) -> None:
    async with await aio_pika.connect(spec.amqp_url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        await channel.declare_queue("kept", durable=True, arguments={"x-queue-type": "quorum"})
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, routing_key="kept")


async def take(spec: BrokerSpec) -> bytes:
    async with await aio_pika.connect(spec.amqp_url) as connection:
        queue = await (await connection.channel()).get_queue("kept")
        message = await queue.get(timeout=30)
        assert message is not None
        await message.ack()
        return message.body


def queue_is_registered(spec: BrokerSpec) -> bool:
    """RabbitMQ 3.10 writes the list of its quorum queues to disk half a second after a declare. A SIGKILL before that
    loses the queue and what is in it, confirmed or not (seen here); one after it loses nothing."""
    return any(b"kept" in path.read_bytes() for path in spec.data.glob("*/quorum/*/names.dets"))


async def refused(login: Awaitable[object]) -> bool:
    try:
        await login
    except (OSError, aio_pika.exceptions.AMQPError):
        return True
    return False


async def test_it_listens_on_127_0_0_1_only_and_leaves_nothing_behind(tmp_path: Path) -> None:
    spec = prepare(tmp_path)
    async with running(spec) as process:
        found = listeners_of(spec)
        ours = {spec.ports.amqp, spec.ports.distribution, spec.ports.epmd}
        assert ours <= {port for _, port in found}
        assert {address for address, _ in found} == {LOOPBACK}
        assert running_pid(spec) == process.pid
        assert spec.log.exists()

        started = time.monotonic()
        await stop(spec)
        assert time.monotonic() - started < STOP_S
        assert not processes_of(spec)
        assert await process.wait() == 0
    await until(lambda: not processes_of(spec), timeout_s=STOP_S)
    assert not ours & {port for _, port in listeners().values()}
    assert running_pid(spec) is None
    await stop(spec)  # of nothing, is nothing


async def test_a_confirmed_message_survives_sigkill(tmp_path: Path) -> None:
    spec = prepare(tmp_path)
    async with running(spec) as process:
        await put(spec, b"still here")
        await until(lambda: queue_is_registered(spec), timeout_s=30)
        process.kill()
        await process.wait()
        assert await after_exit(spec)
    await until(lambda: not processes_of(spec), timeout_s=STOP_S)

    again = prepare(tmp_path)
    assert (again.amqp_url, again.node, again.ports) == (spec.amqp_url, spec.node, spec.ports)
    async with running(again):
        assert await take(again) == b"still here"


async def test_two_homes_live_side_by_side_also_with_spaces_umlauts_and_long_names(tmp_path: Path) -> None:
    specs = [prepare(tmp_path / "plain"), prepare(tmp_path / "my häuschen (2)" / ("long" * 30))]
    assert specs[0].node != specs[1].node
    async with AsyncExitStack() as stack:
        for spec in specs:
            await stack.enter_async_context(running(spec))
        for number, spec in enumerate(specs):
            await put(spec, b"%d" % number)
        assert [await take(spec) for spec in specs] == [b"0", b"1"]

        swapped = specs[0].amqp_url.replace(str(specs[0].ports.amqp), str(specs[1].ports.amqp))
        assert await refused(aio_pika.connect(swapped)), "one home's password opens the other"


async def test_preparing_a_running_broker_changes_nothing(tmp_path: Path) -> None:
    spec = prepare(tmp_path)
    async with running(spec):
        assert prepare(tmp_path) == spec
        assert epmd_client.names(spec.ports.epmd) == [spec.node.partition("@")[0]]
        assert not epmd_client.end(spec.ports.epmd), "a mapper in use must stay"


async def test_a_port_taken_by_a_stranger_while_it_was_down_is_replaced(tmp_path: Path) -> None:
    spec = prepare(tmp_path)
    with socket.create_server(("127.0.0.1", spec.ports.amqp)):
        moved = prepare(tmp_path)
        assert moved.ports.amqp != spec.ports.amqp
        assert moved.node == spec.node, "or its data would be out of reach"
        async with running(moved):
            await put(moved, b"x")


async def test_waiting_for_a_broker_that_does_not_come_says_where_to_look(tmp_path: Path) -> None:
    spec = prepare(tmp_path)
    with pytest.raises(TimeoutError, match=r"did not answer .* its log: "):
        await wait_ready(spec, timeout_s=0.2)


async def test_a_listener_that_does_not_speak_amqp_is_not_ready(tmp_path: Path) -> None:
    spec = prepare(tmp_path)

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"AMQP\x00\x00\x09\x01")  # what a broker says to a protocol it does not know
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", spec.ports.amqp):
        with pytest.raises(TimeoutError):
            await wait_ready(spec, timeout_s=0.3)


async def test_sigterm_to_the_process_group_ends_it_too(tmp_path: Path) -> None:
    spec = prepare(tmp_path)
    async with running(spec) as process:
        os.killpg(process.pid, signal.SIGTERM)
        await asyncio.wait_for(process.wait(), STOP_S)
        await after_exit(spec)
    await until(lambda: not processes_of(spec), timeout_s=STOP_S)
