"""How long each service takes from exec to its first message handled.

    benchmarks/start [--runs 7] [--json FILE]

A private broker in a temporary folder; a message waits in the service's queue, then the service is started and timed
until the answer arrives (a reply; of researcher and writer the result of a step whose deadline is over, so that nothing
but their own start is measured). Then it is ended and the next one is started. A start before the first is not
counted: it makes the queues. Wall clock, one service at a time; `cpu` is what that process itself used until then: on a
machine that does other work it is the steadier figure.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from services.watchdog import rabbitmq_server
from shared.contracts.generation import DescribeEngine
from shared.contracts.goals import ListGoals
from shared.contracts.library import ListCorpora
from shared.contracts.message import Command
from shared.contracts.steps import RunStep, StepFinished
from shared.messaging import topology

GOAL_S = 0.6
START_S = 90.0
TICKS = os.sysconf("SC_CLK_TCK")


def _step(agent: str) -> RunStep:
    over = datetime(2020, 1, 1, tzinfo=UTC)
    return RunStep(goal_id="g", step="s", agent=agent, goal="?", question="?", fence=1, deadline_at=over)


FIRST: dict[str, tuple[str, Command]] = {
    "planner": (topology.PLANNER.name, ListGoals()),
    "memory": (topology.MEMORY.name, ListCorpora()),
    "inference": (topology.INFERENCE.name, DescribeEngine()),
    "researcher": (topology.agent_queue("researcher").name, _step("researcher")),
    "writer": (topology.agent_queue("writer").name, _step("writer")),
}


@dataclass(frozen=True)
class Took:
    """Seconds from exec to the answer: on the wall, and of the processor."""

    wall_s: float
    cpu_s: float


def main() -> int:
    """Exit code 1 when a service's median misses the goal."""
    parser = argparse.ArgumentParser(prog="benchmarks/start", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    parser.add_argument("services", nargs="*", choices=[*FIRST, []], help="all, if none is named")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="warren-start-") as folder:
        took = asyncio.run(measure(Path(folder), given.services or [*FIRST], runs=given.runs))
    result = {name: figures(times) for name, times in took.items()}
    for name, of in result.items():
        print(f"{name:10} median {of['median_s']:.2f} s, slowest {of['slowest_s']:.2f} s, "
              f"cpu {of['cpu_s']:.2f} s, {of['runs']} starts")  # fmt: skip
    if given.json:
        given.json.write_text(json.dumps(result, indent=2) + "\n")
    return int(max(of["median_s"] for of in result.values()) > GOAL_S)


def figures(times: list[Took]) -> dict[str, float]:
    """What is printed of one service's starts."""
    walls = [one.wall_s for one in times]
    found = {"median_s": statistics.median(walls), "slowest_s": max(walls)}
    found["cpu_s"] = statistics.median(one.cpu_s for one in times)
    return {name: round(value, 3) for name, value in found.items()} | {"runs": len(times)}


async def measure(home: Path, services: list[str], *, runs: int) -> dict[str, list[Took]]:
    """Starts each service `runs` times."""
    spec = rabbitmq_server.prepare(home)
    with (home / "out").open("ab") as out:
        broker = subprocess.Popen(  # noqa: ASYNC220 - a moment
            spec.argv, env=dict(spec.env), stdout=out, stderr=out, start_new_session=True
        )
        try:
            await rabbitmq_server.wait_ready(spec, timeout_s=START_S)
            return {name: await _starts(name, spec.amqp_url, home, runs=runs) for name in services}
        finally:
            broker.kill()
            broker.wait()
            await rabbitmq_server.after_exit(spec)


async def _starts(name: str, url: str, home: Path, *, runs: int) -> list[Took]:
    took = []
    async with _client(url) as (channel, replies):
        begun, process = _exec(name, url, home)  # not counted: makes the queues
        await _ask(channel, replies, name)
        await _answer(replies)
        for _ in range(runs):
            await _ended(process)
            await _ask(channel, replies, name)
            begun, process = _exec(name, url, home)
            await _answer(replies)
            took.append(Took(time.monotonic() - begun, _cpu_s(process.pid)))
        await _ended(process)
    return took


@asynccontextmanager
async def _client(url: str) -> AsyncIterator[tuple[AbstractChannel, AbstractQueue]]:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(on_return_raises=True)
        await channel.declare_exchange(topology.EVENTS, "topic", durable=True)
        replies = await channel.declare_queue(exclusive=True)
        await replies.bind(topology.EVENTS, StepFinished.key_for("g").replace("agent", "*", 1))
        yield channel, replies


async def _ask(channel: AbstractChannel, replies: AbstractQueue, name: str) -> None:
    queue, question = FIRST[name]
    message = aio_pika.Message(
        question.encode(), message_id=str(uuid4()), type=question.type_name(), reply_to=replies.name,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )  # fmt: skip
    async with asyncio.timeout(START_S):
        while True:
            try:
                await channel.default_exchange.publish(message, routing_key=queue)
                return
            except aio_pika.exceptions.DeliveryError:  # the first start has not made the queue yet, or just now
                await asyncio.sleep(0.05)


async def _answer(replies: AbstractQueue) -> None:
    got: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
    tag = await replies.consume(got.put, no_ack=True)
    async with asyncio.timeout(START_S):
        await got.get()
    await replies.cancel(tag)


def _exec(name: str, url: str, home: Path) -> tuple[float, "subprocess.Popen[bytes]"]:
    env = {**os.environ, "WARREN_AMQP_URL": url, "WARREN_HOME": str(home), "WARREN_INSTANCE": f"{name}-1"}
    log = (home / f"{name}.log").open("ab")
    begun = time.monotonic()
    return begun, subprocess.Popen([sys.executable, "-m", f"services.{name}"], env=env, stdout=log, stderr=log)


async def _ended(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    await asyncio.to_thread(process.wait)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


if __name__ == "__main__":
    sys.exit(main())
