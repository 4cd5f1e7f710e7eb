"""A thousand goals in flight in one planner: does its memory stay flat?

    benchmarks/in_flight [--at-once 1000] [--seconds 90] [--quick] [--json FILE]

One planner on SQLite with room for all of them; each goal has four steps in a chain, done by agents that take no time.
As soon as one is answered the next is submitted, so that `--at-once` goals stay in flight for `--seconds`. Resident
memory is read from outside (/proc), the number of goals in flight from the planner's database, twice a second. Exit 1
when the last quarter's memory is more than 10 % above the first quarter's, or above the bound of 200 MB.
"""

import argparse
import asyncio
import contextlib
import json
import sqlite3
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import stage
from benchmarks.goals import goal

BOUND_MB, GROWTH = 200.0, 1.10
EVERY_S = 0.5
STEPS = "SELECT count(*) FROM steps WHERE state = 'done'"
IN_FLIGHT = "SELECT count(*) FROM goals WHERE status IN ('planning', 'researching', 'writing')"


@dataclass(frozen=True)
class Sample:
    """`at`: seconds since the planner had all that it should have in flight."""

    at: float
    rss_mb: float
    in_flight: int
    ended: int
    steps: int


def main() -> int:
    """Exit code 1 when a bound is missed."""
    parser = argparse.ArgumentParser(prog="benchmarks/in_flight", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--at-once", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--quick", action="store_true", help="that it works: 20 goals for 5 seconds")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    options = parser.parse_args()
    if options.quick:
        options.at_once, options.seconds = 20, 5.0
    with tempfile.TemporaryDirectory(prefix="warren-in-flight-") as folder:
        result = asyncio.run(measure(Path(folder), at_once=options.at_once, seconds=options.seconds))
    result |= {"machine": stage.machine(), "command": " ".join(["benchmarks/in_flight", *sys.argv[1:]])}
    show(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return int(result["last_mb"] > GROWTH * result["first_mb"] or result["highest_mb"] > BOUND_MB)


async def measure(home: Path, *, at_once: int, seconds: float) -> dict[str, Any]:
    """Memory at rest, in the first and last quarter of the time, and at its highest; goals in flight and ended."""
    async with stage.broker(home) as spec:
        env = stage.environment(home, spec.amqp_url, WARREN_ACTIVE_GOALS=str(at_once))
        with stage.processes(stage.mesh("researcher", "writer"), env, home / "out.txt") as running:
            async with stage.Client.connected(spec.amqp_url) as client:
                await client.submit(goal(0))
                pid, database = running["planner"].pid, home / "data" / "planner.db"
                idle = _rss_mb(pid)
                done = [0]
                busy = [asyncio.create_task(_keep_on(client, done)) for _ in range(at_once)]
                try:
                    samples = await _watch(pid, database, at_once, seconds, done)
                finally:
                    for task in busy:
                        task.cancel()
                    await asyncio.gather(*busy, return_exceptions=True)
    quarter = max(1, len(samples) // 4)
    return {
        "idle_mb": idle,
        "first_mb": stage.middle([s.rss_mb for s in samples[:quarter]]),
        "last_mb": stage.middle([s.rss_mb for s in samples[-quarter:]]),
        "highest_mb": max(s.rss_mb for s in samples),
        "in_flight": stage.middle([float(s.in_flight) for s in samples]),
        "ended": samples[-1].ended - samples[0].ended,
        "steps": samples[-1].steps - samples[0].steps,
        "seconds": samples[-1].at,
        "samples": [[round(s.at, 1), round(s.rss_mb, 1), s.in_flight] for s in samples],
    }


async def _keep_on(client: stage.Client, done: list[int]) -> None:
    while True:
        await client.submit(goal(done[0]), within_s=None)
        done[0] += 1


async def _watch(pid: int, database: Path, at_once: int, seconds: float, done: list[int]) -> list[Sample]:
    """From when as many are in flight as should be (a few are always on their way)."""
    samples: list[Sample] = []
    async with asyncio.timeout(stage.ANSWER_S):
        while await asyncio.to_thread(_count, database, IN_FLIGHT) < 0.9 * at_once:
            await asyncio.sleep(EVERY_S)
    began = time.monotonic()
    while not samples or samples[-1].at < seconds:
        flying, steps = [await asyncio.to_thread(_count, database, query) for query in (IN_FLIGHT, STEPS)]
        samples.append(Sample(time.monotonic() - began, _rss_mb(pid), flying, done[0], steps))
        await asyncio.sleep(EVERY_S)
    return samples


def _count(database: Path, query: str) -> int:
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
        return int(connection.execute(query).fetchone()[0])


def _rss_mb(pid: int) -> float:
    rows = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("VmRSS")) * 1024 / 1e6


def show(result: dict[str, Any]) -> None:
    worked = f"{result['steps']} steps done, {result['ended']} goals ended in {result['seconds']:.0f} s"
    print(f"goals in flight   {result['in_flight']:.0f} (median), {worked}")
    print(
        f"planner's memory  {result['idle_mb']:.0f} MB RSS with none, {result['first_mb']:.0f} MB in the first quarter"
    )
    last, highest = result["last_mb"], result["highest_mb"]
    print(f"                  {last:.0f} MB in the last, {highest:.0f} MB at most; bounds: +10 %, {BOUND_MB:.0f} MB")
    print(f"{result['machine']}; {result['command']}")


if __name__ == "__main__":
    sys.exit(main())
