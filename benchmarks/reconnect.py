"""How soon a service answers again after its broker does: Warren's connection, and a FastStream app as it comes.

    benchmarks/reconnect [--runs 5] [--json FILE]

A private broker in a temporary folder is killed (SIGKILL) and started again `--runs` times. Measured from the moment
its port says the first word of AMQP until each of the two, a process each, answers a request. Whoever asks is a third
party on a plain AMQP client, connected anew each time, that asks every 20 ms until it is answered.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from uuid import uuid4

import aio_pika

from services.watchdog import rabbitmq_server
from shared.contracts.findings import Forget
from shared.contracts.message import Done
from shared.messaging.envelope import Envelope
from shared.messaging.topology import MEMORY
from shared.runtime.run import run
from shared.runtime.service import Service
from shared.runtime.settings import MeshSettings

GOAL_S = 1.0
START_S = 90.0
ASK_AGAIN_S = 0.02
SETTLE_S = 2.0
"""RabbitMQ 3.10 writes its list of quorum queues half a second after they were declared."""
STOCK = "stock"


def main() -> int:
    """Exit code 1 when Warren's median misses the goal."""
    parser = argparse.ArgumentParser(prog="benchmarks/reconnect", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    parser.add_argument("--serve", choices=("warren", STOCK), help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        return serve(given.serve, given.url)
    with tempfile.TemporaryDirectory(prefix="warren-reconnect-") as folder:
        took = asyncio.run(measure(Path(folder), runs=given.runs))
    result = {name: _figures(times) for name, times in took.items()}
    for name, figures in result.items():
        print(f"{name:8} median {figures['median_s']:.2f} s, p99 {figures['p99_s']:.2f} s, {figures['runs']} runs")
    if given.json:
        given.json.write_text(json.dumps(result, indent=2) + "\n")
    return int(result["warren"]["median_s"] > GOAL_S)


def _figures(times: list[float]) -> dict[str, float]:
    """With few runs the 99th percentile is the slowest."""
    slowest = sorted(times)[min(len(times) - 1, int(len(times) * 0.99))]
    return {"median_s": round(statistics.median(times), 3), "p99_s": round(slowest, 3), "runs": len(times)}


def serve(which: str, url: str) -> int:
    """One of the two that are measured, until it is killed."""
    if which == STOCK:
        asyncio.run(_stock(url))
        return 0
    service = Service("memory", MeshSettings(amqp_url=url, instance="bench"))

    async def on_forget(message: Forget, envelope: Envelope) -> Done:
        return Done(count=1)

    service.subscribe(MEMORY, Forget, on_forget)
    run(service)
    return 0


async def _stock(url: str) -> None:
    from faststream import FastStream
    from faststream.rabbit import RabbitBroker

    broker = RabbitBroker(url)

    @broker.subscriber(STOCK)
    async def on_message(body: str) -> str:
        return body

    await FastStream(broker).run()


async def measure(home: Path, *, runs: int) -> dict[str, list[float]]:
    """Seconds of each run from the port's first word to the first answer."""
    spec = rabbitmq_server.prepare(home)
    took: dict[str, list[float]] = {"warren": [], STOCK: []}
    with (home / "out").open("ab") as out:
        broker = started(home, out)
        try:
            await rabbitmq_server.wait_ready(spec, timeout_s=START_S)
            with serving(spec.amqp_url, out):
                await asyncio.gather(*(answered(spec.amqp_url, which) for which in took))
                for _ in range(runs):
                    await asyncio.sleep(SETTLE_S)
                    broker.kill()
                    broker.wait()
                    await rabbitmq_server.after_exit(spec)
                    broker = started(home, out)
                    await until(lambda: speaks(spec.ports.amqp))
                    begun = time.monotonic()
                    ended = await asyncio.gather(*(answered(spec.amqp_url, which) for which in took))
                    for which, at in zip(took, ended, strict=True):
                        took[which].append(at - begun)
        finally:
            broker.kill()
            broker.wait()
            await rabbitmq_server.after_exit(spec)
    return took


def started(home: Path, out: IO[bytes]) -> "subprocess.Popen[bytes]":
    """The broker of this home, on its way up."""
    spec = rabbitmq_server.prepare(home)
    return subprocess.Popen(spec.argv, env=dict(spec.env), stdout=out, stderr=out, start_new_session=True)


@contextmanager
def serving(url: str, out: IO[bytes]) -> Iterator[None]:
    command = [sys.executable, __file__, "--url", url, "--serve"]
    both = [subprocess.Popen([*command, which], stdout=out, stderr=out) for which in ("warren", STOCK)]
    try:
        yield
    finally:
        for process in both:
            process.kill()
            process.wait()


async def answered(url: str, which: str) -> float:
    """When the first answer came. Asks again and again: a queue that is not there yet returns the question."""
    queue, body = (MEMORY.name, Forget(finding_id="x").encode()) if which == "warren" else (STOCK, b"x")

    async def once() -> bool:
        try:
            async with await aio_pika.connect(url, timeout=2) as connection:
                channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
                replies = await channel.declare_queue(exclusive=True)
                got = asyncio.Event()
                await replies.consume(lambda _: _set(got), no_ack=True)
                while not got.is_set():
                    question = aio_pika.Message(
                        body, message_id=str(uuid4()), type=Forget.type_name(), reply_to=replies.name, expiration=1
                    )
                    try:
                        await channel.default_exchange.publish(question, routing_key=queue)
                    except aio_pika.exceptions.PublishError:
                        await asyncio.sleep(ASK_AGAIN_S)
                        continue
                    try:
                        await asyncio.wait_for(got.wait(), ASK_AGAIN_S)
                    except TimeoutError:
                        continue
                return True
        except (OSError, aio_pika.exceptions.AMQPError):
            return False

    await until(once)
    return time.monotonic()


async def _set(event: asyncio.Event) -> None:
    event.set()


async def speaks(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(rabbitmq_server.PROTOCOL_HEADER)
            return (await asyncio.wait_for(reader.readexactly(1), 2))[0] == rabbitmq_server.METHOD_FRAME
        finally:
            writer.close()
    except (OSError, EOFError):
        return False


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(START_S):
        while not await condition():
            await asyncio.sleep(ASK_AGAIN_S)


if __name__ == "__main__":
    sys.exit(main())
