"""Goals per second, and how long a goal of four steps takes when thinking takes no time.

    benchmarks/goals [--runs 3] [--latency 80] [--goals 300] [--in-flight 32] [--quick] [--json FILE]

The goal brings its own four steps, each waiting for the one before; the report is the fifth. The planner and inference
are the real processes, the agents have the real delivery (claims, leases, confirmed results) around work that takes no
time. Everything is on SQLite and a private broker in a temporary folder. In each run: goals one after another (p50,
p99), ten at a time, and between them, on the same broker and disk, FastStream's confirmed hops and commits; then
`--goals` with `--in-flight` at once (goals per second). Afterwards the hops and commits on the path of one goal are
counted from outside (path.py): p50 / (hops x hop + commits x commit) is the ratio. Exit 1 when it is above 1.5.
"""

import argparse
import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from itertools import count as count_up
from pathlib import Path
from typing import Any
from uuid import uuid4

from faststream import FastStream
from faststream.rabbit import Channel, QueueType, RabbitBroker, RabbitQueue

from benchmarks import path, stage

GOAL_RATIO = 1.5
HOPS, COMMITS, AT_ONCE = 200, 100, 10
"""In a run, and goals in a row between some of them: what else the machine does changes from second to second."""
BODY = b"x" * 1500
"""About what a step weighs on the wire."""


def main() -> int:
    """Exit code 1 when the goal is missed."""
    options = _options()
    if options.serve:
        asyncio.run(_forward(options.serve))
        return 0
    with tempfile.TemporaryDirectory(prefix="warren-goals-") as folder:
        result = asyncio.run(measure(Path(folder), options))
    result |= {"machine": stage.machine(), "command": " ".join(["benchmarks/goals", *sys.argv[1:]])}
    show(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0 if options.quick else int(stage.middle(result["ratio"]) > GOAL_RATIO)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/goals", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--latency", type=int, default=80, help="goals one after another, in each run")
    parser.add_argument("--goals", type=int, default=300, help="goals at once, in each run")
    parser.add_argument("--in-flight", type=int, default=32)
    parser.add_argument("--quick", action="store_true", help="that it works, not how fast: no figure is to be quoted")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.quick:
        given.runs, given.latency, given.goals = 1, 5, 10
    return given


async def measure(home: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds and goals per second of each run, and the counts."""
    async with stage.broker(home) as spec:
        free = str(options.in_flight)
        env = stage.environment(home, spec.amqp_url, WARREN_ACTIVE_GOALS=free, WARREN_WINDOW=free)
        hop = {"hop": stage.python(__file__, "--serve", spec.amqp_url)}
        with stage.processes(stage.mesh("researcher", "writer") | hop, env, home / "out.txt"):
            async with stage.Client.connected(spec.amqp_url) as client:
                await client.submit(goal(0))  # all are there, and warm
                runs = [await _run(home, spec.amqp_url, client, options) for _ in range(options.runs)]
                counts = await count(home, spec, client)
    result: dict[str, Any] = {name: [run[name] for run in runs] for name in runs[0]} | counts
    result["ratio"] = [
        run["p50_s"] / (counts["hops"] * run["hop_s"] + counts["commits"] * run["commit_s"]) for run in runs
    ]
    return result


def goal(number: int) -> bytes:
    names = ["a", "b", "c", "d"]
    steps = [
        {"id": name, "question": f"{name} of {number}?", "depends_on": names[max(0, n - 1) : n]}
        for n, name in enumerate(names)
    ]
    return json.dumps({"goal": f"goal {number}", "engine": "extractive", "steps": steps}).encode()


async def _run(home: Path, url: str, client: stage.Client, options: argparse.Namespace) -> dict[str, float]:
    took, hop_times, disk = [], [], []
    blocks = max(1, options.latency // AT_ONCE)
    async with hopping(url) as hop_once:
        with committing(home / "data" / f"commit-{uuid4().hex[:6]}.db") as commit_once:
            for _ in range(blocks):
                hop_times += [await hop_once() for _ in range(-(-HOPS // blocks))]
                disk += [commit_once() for _ in range(-(-COMMITS // blocks))]
                took += [await client.submit(goal(n)) for n in range(-(-options.latency // blocks))]
    gate = asyncio.Semaphore(options.in_flight)

    async def one(number: int) -> None:
        async with gate:
            await client.submit(goal(number))

    began = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(options.goals)))
    rate = options.goals / (time.perf_counter() - began)
    hop, commit = stage.middle(hop_times), stage.middle(disk)
    return {
        "p50_s": stage.middle(took),
        "p99_s": stage.tail(took),
        "goals_per_s": rate,
        "hop_s": hop,
        "commit_s": commit,
    }


# ---- the unit of time: a hop and a commit, on the same broker and disk


def _queue(name: str) -> RabbitQueue:
    return RabbitQueue(name, queue_type=QueueType.QUORUM, durable=True)


def _broker(url: str) -> RabbitBroker:
    channel = Channel(publisher_confirms=True, on_return_raises=True, prefetch_count=16)
    return RabbitBroker(url, default_channel=channel, logger=None)


async def _forward(url: str) -> None:
    """A FastStream app that passes on what it gets, confirmed before it acknowledges."""
    broker = _broker(url)

    @broker.subscriber(_queue("hop.there"))
    async def on_message(body: bytes) -> None:
        await broker.publish(body, queue=_queue("hop.back"), persist=True)

    await FastStream(broker).run()


@asynccontextmanager
async def hopping(url: str) -> AsyncIterator[Callable[[], Awaitable[float]]]:
    """Seconds of one hop: half of there and back, between two FastStream processes, confirmed and persistent."""
    broker, back = _broker(url), asyncio.Event()

    @broker.subscriber(_queue("hop.back"))
    async def on_message(body: bytes) -> None:
        back.set()

    async def hop() -> float:
        began = time.perf_counter()
        await broker.publish(BODY, queue=_queue("hop.there"), persist=True)
        await asyncio.wait_for(back.wait(), stage.ANSWER_S)
        back.clear()
        return (time.perf_counter() - began) / 2

    await broker.start()
    for _ in range(HOPS // 10):  # all are there, and warm
        await hop()
    yield hop
    await broker.stop()


@contextmanager
def committing(file: Path) -> Iterator[Callable[[], float]]:
    """Seconds of one durable transaction of an inbox row, a state row and two outbox rows, in plain SQLite."""
    numbers = count_up()
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL"):
            connection.execute(statement)
        for table in ("inbox", "state", "outbox"):
            connection.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, key TEXT, body BLOB)")

        def commit() -> float:
            key, began = str(next(numbers)), time.perf_counter()
            connection.execute("BEGIN")
            for table in ("inbox", "state", "outbox", "outbox"):
                connection.execute(f"INSERT INTO {table} (key, body) VALUES (?, ?)", (key, BODY))
            connection.execute("COMMIT")
            return time.perf_counter() - began

        yield commit


# ---- the counts


async def count(home: Path, spec: Any, client: stage.Client) -> dict[str, Any]:
    """Messages and commits on the path of one goal, and all commits that were made meanwhile."""
    logs = {owner: home / "data" / f"{owner}.db" for owner in ("planner", "inference")}
    async with path.firehose(spec) as queue:
        for _ in range(5):
            await path.seen(queue)
            before = {owner: path.commits(log) for owner, log in logs.items()}
            first = str(uuid4())
            await client.submit(goal(0), message_id=first)
            after = {owner: path.commits(log) for owner, log in logs.items()}
            if all(before[owner][0] == after[owner][0] for owner in logs):
                break
        else:
            raise RuntimeError("the write-ahead log began anew each time")
        found = path.critical_path(await path.seen(queue), first)
    made = {owner: after[owner][1] - before[owner][1] for owner in logs}
    taken = sum(message.planner_takes_it for message in found)
    return {
        "hops": len(found),
        "path": [message.type for message in found],
        # one message, one commit; never more than the log holds
        "commits": min(taken, made["planner"]) + made["inference"],
        "commits_in_logs": made,
    }


def show(result: dict[str, Any]) -> None:
    ms = {name: [1000 * value for value in result[name]] for name in ("p50_s", "p99_s", "hop_s", "commit_s")}
    print(f"a goal of four steps   p50 {stage.spread(ms['p50_s'], ' ms')}, p99 {stage.spread(ms['p99_s'], ' ms')}")
    print(f"goals per second       {stage.spread(result['goals_per_s'])}")
    print(f"hops on the path       {result['hops']}: {', '.join(name.partition('.')[0] for name in result['path'])}")
    print(f"commits on the path    {result['commits']} (in the logs meanwhile: {result['commits_in_logs']})")
    print(f"one FastStream hop     p50 {stage.spread(ms['hop_s'], ' ms', digits=2)}")
    print(f"one commit             p50 {stage.spread(ms['commit_s'], ' ms', digits=2)}")
    print(f"ratio                  {stage.spread(result['ratio'], digits=2)}, goal: at most {GOAL_RATIO}")
    print(f"medians of {len(result['ratio'])} runs (lowest to highest); {result['machine']}; {result['command']}")


if __name__ == "__main__":
    sys.exit(main())
