"""What the benchmarks of delivery stand on: a private broker, services as processes, agents that take no time, a client
on plain AMQP, and the machine in one line."""

import asyncio
import contextlib
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractIncomingMessage

from services.watchdog import rabbitmq_server
from shared.messaging import topology
from shared.messaging.broker import Link

ROOT = Path(__file__).resolve().parents[1]
START_S = 90.0
ANSWER_S = 120.0
SUBMIT = "cmd.planner.submit_goal.v1"


@asynccontextmanager
async def broker(home: Path) -> AsyncIterator[rabbitmq_server.BrokerSpec]:
    """A RabbitMQ of its own in this folder, with our queues, from nothing to nothing."""
    spec = rabbitmq_server.prepare(home)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))  # what was started is stopped, too
    with (home / "broker.out").open("ab") as out:
        process = subprocess.Popen(  # noqa: ASYNC220 - a moment
            spec.argv, env=dict(spec.env), stdout=out, stderr=out, start_new_session=True
        )
        try:
            await rabbitmq_server.wait_ready(spec, timeout_s=START_S)
            link = Link(spec.amqp_url, name="benchmark")
            await link.connect(wait_s=START_S)
            await link.declare(topology.queues(), topology.bindings())
            await link.close()
            yield spec
        finally:
            process.kill()
            process.wait()
            await rabbitmq_server.after_exit(spec)


def environment(home: Path, url: str, **settings: str) -> dict[str, str]:
    """For a service of ours: nothing of the caller's own settings, no model."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WARREN_")}
    own = {"WARREN_HOME": str(home), "WARREN_AMQP_URL": url, "WARREN_MODEL": "extractive", "PYTHONPATH": str(ROOT)}
    return kept | own | {"WARREN_OLLAMA_URLS": "http://127.0.0.1:9", "WARREN_LOG_LEVEL": "WARNING"} | settings


@contextmanager
def processes(
    commands: dict[str, Sequence[str]], env: dict[str, str], log: Path
) -> Iterator[dict[str, "subprocess.Popen[bytes]"]]:
    """Started together, ended together; raises if one has ended by itself."""
    with log.open("ab") as out:
        running = {
            name: subprocess.Popen(command, env=env | {"WARREN_INSTANCE": name}, stdout=out, stderr=out, cwd=ROOT)
            for name, command in commands.items()
        }
        try:
            yield running
            dead = [name for name, process in running.items() if process.poll() is not None]
            if dead:
                raise RuntimeError(f"{', '.join(dead)} ended: {log.read_text()[-2000:]}")
        finally:
            for process in running.values():
                process.terminate()
            for process in running.values():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(20)
                process.kill()
                process.wait()


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def mesh(*agents: str) -> dict[str, Sequence[str]]:
    """Planner and inference as they are, and agents whose work takes no time."""
    services = {name: python("-m", f"services.{name}") for name in ("planner", "inference")}
    return services | {name: python(__file__, name) for name in agents}


@dataclass
class Client:
    """Submits goals and waits for their answers; publishes persistent, mandatory and confirmed."""

    exchange: AbstractExchange
    queue: str
    _open: dict[str, "asyncio.Future[bytes]"] = field(default_factory=dict)

    @classmethod
    @asynccontextmanager
    async def connected(cls, url: str) -> AsyncIterator["Client"]:
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            answers = await channel.declare_queue(f"client.bench-{uuid4().hex[:8]}", exclusive=True)
            client = cls(await exchange_of(channel, "warren.commands"), answers.name)
            await answers.consume(client._answered, no_ack=True)
            yield client

    async def submit(self, body: bytes, *, message_id: str | None = None, within_s: float | None = ANSWER_S) -> float:
        """Seconds from before the publish to the answer. Raises RuntimeError unless the goal is done."""
        identity = message_id or str(uuid4())
        future = self._open[identity] = asyncio.get_running_loop().create_future()
        message = aio_pika.Message(
            body,
            message_id=identity,
            correlation_id=identity,
            reply_to=self.queue,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        began = time.perf_counter()
        await self.exchange.publish(message, routing_key=SUBMIT, mandatory=True)
        answer = await asyncio.wait_for(future, within_s)
        took = time.perf_counter() - began
        if b'"status":"done"' not in answer:
            raise RuntimeError(f"a goal was not done: {answer[:500]!r}")
        return took

    async def _answered(self, message: AbstractIncomingMessage) -> None:
        future = self._open.pop(message.correlation_id or "", None)
        if future and not future.done():
            future.set_result(message.body)


async def exchange_of(channel: AbstractChannel, name: str) -> AbstractExchange:
    return await channel.get_exchange(name, ensure=False)


def middle(values: Sequence[float]) -> float:
    return statistics.median(values)


def tail(values: Sequence[float]) -> float:
    """The 99th percentile; with few values the slowest."""
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]


def spread(values: Sequence[float], unit: str = "", *, digits: int = 1) -> str:
    """Median of the runs, and the runs' lowest and highest."""
    low, high = min(values), max(values)
    return f"{middle(values):.{digits}f}{unit} ({low:.{digits}f} to {high:.{digits}f})"


def machine() -> dict[str, Any]:
    cpu = next((row for row in Path("/proc/cpuinfo").read_text().splitlines() if row.startswith("model name")), "")
    return {
        "cpu": cpu.partition(":")[2].strip() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
    }


def serve(agent: str) -> None:
    """An agent whose work takes no time, until it is ended."""
    from shared.contracts.report import WrittenReport
    from shared.contracts.steps import StepResult
    from shared.runtime.agent import Agent, StepContext, StepOutcome
    from shared.runtime.run import run
    from shared.runtime.service import Service
    from shared.runtime.settings import MeshSettings

    service = Service(agent, MeshSettings())

    async def work(context: StepContext) -> StepOutcome:
        result = StepResult(step=context.step.step, question=context.step.question)
        return StepOutcome(result, report=WrittenReport(report="done") if agent == "writer" else None)

    Agent(service, agent, work, line="takes no time")
    run(service)


if __name__ == "__main__":
    serve(sys.argv[1])
