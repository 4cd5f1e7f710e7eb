"""What a durable task costs: a chain of four tasks on Warren's delivery, on Celery and on stock FastStream.

    benchmarks/per_task [--runs 3] [--chains 250] [--latency 60] [--quick] [--only NAME...] [--json FILE]

Same broker, same disk, one after another in each run, each in processes of its own. Warren and Celery commit an inbox
row and a state row in each task (SQLite, WAL, synchronous FULL) and wait for confirms on quorum queues; Celery runs in
an environment of its own (chain/celery.lock) with the settings its documentation has for production, prefork, once with
one worker process and prefetch 1 and once with two and prefetch 4 each: the better one counts. FastStream
(chain/faststream.lock) is as it comes and keeps nothing. `off` is Warren without inbox, state, outbox and commit: what
durability costs. Latency: one chain at a time; throughput: `--chains` with 64 at once, as time per task. Exit 1 when
Warren is slower per task than Celery.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from benchmarks import stage
from shared.contracts.findings import Forget

TASKS, DONE, AT_ONCE = 4, "bench.done", 64
HERE = stage.ROOT / "benchmarks" / "chain"
VENVS = stage.ROOT / "build" / "benchmarks"
CELERY = {"celery 1x1": ("1", "1"), "celery 2x4": ("2", "4")}
"""Worker processes, prefetch per process."""
CONTESTANTS = ("warren", "off", *CELERY, "faststream")
Start = Callable[[str], Awaitable[None]]


def main() -> int:
    """Exit code 1 when the goal is missed."""
    parser = argparse.ArgumentParser(prog="benchmarks/per_task", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--chains", type=int, default=250, help="chains at once, in each run")
    parser.add_argument("--latency", type=int, default=60, help="chains one after another, in each run")
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=CONTESTANTS)
    parser.add_argument("--quick", action="store_true", help="that it works, not how fast: no figure is to be quoted")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    options = parser.parse_args()
    if options.quick:
        options.runs, options.chains, options.latency = 1, 10, 3
    with tempfile.TemporaryDirectory(prefix="warren-per-task-") as folder:
        figures = asyncio.run(measure(Path(folder), options))
    result = {"contestants": figures, **ratios(figures)}
    result |= {"machine": stage.machine(), "command": " ".join(["benchmarks/per_task", *sys.argv[1:]])}
    show(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    slower = "celery_over_warren" in result and stage.middle(result["celery_over_warren"]) < 1
    return int(slower and not options.quick)


def environment_of(name: str) -> Path:
    """The Python of an environment with exactly what `chain/NAME.lock` says; made once, under build/."""
    lock = HERE / f"{name}.lock"
    venv = VENVS / f"{name}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    python = venv / "bin" / "python"
    if not (venv / "complete").exists():
        shutil.rmtree(venv, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--require-hashes"]
        subprocess.run([python, "-m", "pip", "install", *quiet, "-r", lock], check=True)
        (venv / "complete").touch()
    return python


@dataclass
class Ends:
    """Waits for the ends of chains."""

    channel: AbstractChannel
    _open: dict[str, "asyncio.Future[float]"] = field(default_factory=dict)

    async def listen(self) -> None:
        queue = await self.channel.declare_queue(DONE, durable=True, arguments={"x-queue-type": "quorum"})
        await queue.consume(self._ended, no_ack=True)

    async def _ended(self, message: AbstractIncomingMessage) -> None:
        future = self._open.pop(_name(message.body), None)
        if future and not future.done():
            future.set_result(time.monotonic())

    async def run(self, name: str, start: Start) -> float:
        """Seconds of one chain."""
        future = self._open[name] = asyncio.get_running_loop().create_future()
        began = time.monotonic()
        await start(name)
        return await asyncio.wait_for(future, stage.ANSWER_S) - began


def _name(body: bytes) -> str:
    said = json.loads(body) if body[:1] in b'"{' else body.decode()
    return str(said["finding_id"] if isinstance(said, dict) else said)


async def measure(home: Path, options: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """Per contestant, of each run: seconds of a chain (p50), seconds per task under load."""
    figures: dict[str, dict[str, list[float]]] = {name: {"chain_s": [], "task_s": []} for name in options.only}
    async with stage.broker(home) as spec, await aio_pika.connect(spec.amqp_url) as connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        ends = Ends(channel)
        await ends.listen()
        for run in range(options.runs):
            for name in options.only:
                folder = home / f"{name}-{run}".replace(" ", "-")
                folder.mkdir()
                async with _running(name, folder, spec.amqp_url, channel) as start:
                    await _first(ends, start)
                    took = [await ends.run(f"l{n}-{run}-{name}", start) for n in range(options.latency)]
                    each = await _rate(ends, start, options.chains, f"{run}-{name}")
                figures[name]["chain_s"].append(stage.middle(took))
                figures[name]["task_s"].append(each)
    return figures


async def _first(ends: Ends, start: Start) -> None:
    """Until one chain went through."""
    async with asyncio.timeout(stage.START_S):
        while True:
            with contextlib.suppress(aio_pika.exceptions.PublishError):
                await ends.run("first", start)
                return
            await asyncio.sleep(0.1)


async def _rate(ends: Ends, start: Start, chains: int, label: str) -> float:
    """Seconds per task with many chains at once."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with gate:
            await ends.run(f"t{number}-{label}", start)

    began = time.monotonic()
    await asyncio.gather(*(one(number) for number in range(chains)))
    return (time.monotonic() - began) / (chains * TASKS)


# ---- the contestants


@asynccontextmanager
async def _running(name: str, folder: Path, url: str, channel: AbstractChannel) -> AsyncIterator[Start]:
    """Its processes, and how to start a chain of it."""
    env = stage.environment(folder, url, BENCH_URL=url, BENCH_DB=str(folder / "celery.db"))
    log = folder / "out.txt"
    if name in CELERY:
        count, prefetch = CELERY[name]
        python = str(await asyncio.to_thread(environment_of, "celery"))
        env |= {"BENCH_PREFETCH": prefetch, "PYTHONPATH": str(HERE)}
        worker = [python, "-m", "celery", "-A", "with_celery", "worker", "-c", count, "-l", "WARNING"]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        with stage.processes({"celery": [*worker, *quiet]}, env, log), log.open("ab") as out:
            starter = subprocess.Popen(  # noqa: ASYNC220 - a moment
                [python, str(HERE / "with_celery.py")], env=env, stdin=subprocess.PIPE, stdout=out, stderr=out
            )
            assert starter.stdin is not None
            try:
                yield _line(starter.stdin)
            finally:
                starter.stdin.close()
                starter.wait(20)
        return
    if name == "faststream":
        python = str(await asyncio.to_thread(environment_of, "faststream"))
        with stage.processes({name: [python, str(HERE / "with_faststream.py")]}, env, log):
            yield _publish(channel, "bench.faststream.1", str.encode, {"content_type": "text/plain"})
        return
    script = stage.python(str(HERE / "with_warren.py"), *(["--off"] if name == "off" else []))
    with stage.processes({name: script}, env, log):
        about: dict[str, Any] = {"type": Forget.type_name()}
        yield _publish(channel, "bench.warren.1", lambda chain: Forget(finding_id=chain).encode(), about)


def _publish(channel: AbstractChannel, queue: str, body: Callable[[str], bytes], about: dict[str, Any]) -> Start:
    async def start(name: str) -> None:
        message = aio_pika.Message(
            body(name), message_id=f"{queue} {name}", delivery_mode=aio_pika.DeliveryMode.PERSISTENT, **about
        )
        await channel.default_exchange.publish(message, routing_key=queue, mandatory=True)

    return start


def _line(to: IO[bytes]) -> Start:
    async def start(name: str) -> None:
        to.write(name.encode() + b"\n")
        to.flush()

    return start


# ---- what came of it


def ratios(figures: dict[str, dict[str, list[float]]]) -> dict[str, list[float]]:
    """Time per task, of each run: how much Celery (the better of its two) takes for one of ours; ours with durability
    for one without; ours for one of stock FastStream."""
    each = {name: figure["task_s"] for name, figure in figures.items()}
    found = {}
    celery = [min(times) for times in zip(*(each[name] for name in CELERY if name in each), strict=True)]
    if celery and "warren" in each:
        found["celery_over_warren"] = _over(celery, each["warren"])
    if "off" in each and "warren" in each:
        found["on_over_off"] = _over(each["warren"], each["off"])
    if "faststream" in each and "warren" in each:
        found["warren_over_faststream"] = _over(each["warren"], each["faststream"])
    return found


def _over(ones: list[float], others: list[float]) -> list[float]:
    return [one / other for one, other in zip(ones, others, strict=True)]


def show(result: dict[str, Any]) -> None:
    says = {
        "celery_over_warren": "Celery / Warren, time per task (goal: at least 1)",
        "on_over_off": "the price of durability: on / off, time per task",
        "warren_over_faststream": "Warren / stock FastStream without durability, time per task",
    }
    for name, figure in result["contestants"].items():
        task, chain = ([1000 * value for value in figure[key]] for key in ("task_s", "chain_s"))
        print(f"{name:11} per task {stage.spread(task, ' ms', digits=2)}, chain of 4 p50 {stage.spread(chain, ' ms')}")
    for name, text in says.items():
        if name in result:
            print(f"{text}: {stage.spread(result[name], digits=2)}")
    runs = len(next(iter(result["contestants"].values()))["task_s"])
    print(f"medians of {runs} runs (lowest to highest); {result['machine']}; {result['command']}")


if __name__ == "__main__":
    sys.exit(main())
