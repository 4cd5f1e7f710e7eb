"""What the way over the broker adds to a model call, beside the `ollama` client that asks the same server directly.

    benchmarks/inference [--runs 3] [--calls 24] [--at-once 1 4 16 64] [--quick] [--json FILE]

The model server is a stub in a process of its own: first token after 100 ms, then one each 20 ms, twenty in all. In
each run and for each number of calls at once, one after another: `direct` (ollama.AsyncClient, streamed), `broker`
(`Generate` to the real inference service, the answer as one reply), `stream` (the same with its tokens as events);
`--calls` in all, and at least five in turn by each of those at once. Added is the difference of percentiles within one
run: of the whole call (p50, p99), and to the first token. On the same broker and disk a FastStream confirmed hop and a
commit are measured: a call goes over two hops, and is to add no more than these and two commits. Exit 1 when one call
at a time adds more (p50).
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import ollama

from benchmarks import goals, path, stage
from shared.contracts.generation import CallKey, ChatMessage, Generate, Generated, Inputs
from shared.runtime.client import Client
from shared.runtime.tokens import Ended, Text
from shared.testing.stub_ollama import StubOllama

FIRST_S, BETWEEN_S, WORDS = 0.1, 0.02, 20
AT_ONCE = (1, 4, 16, 64)
WAYS = ("direct", "broker", "stream")
HOPS, COMMITS = 2, 2
LEAST = 5


@dataclass(frozen=True)
class Took:
    """Seconds of one call, and to its first token."""

    total: float
    first: float


Call = Callable[[], Awaitable[Took]]


def main() -> int:
    """Exit code 1 when the goal is missed."""
    options = _options()
    if options.stub:
        asyncio.run(_serve_stub(options.stub))
        return 0
    with tempfile.TemporaryDirectory(prefix="warren-inference-") as folder:
        result = asyncio.run(measure(Path(folder), options))
    result |= {"machine": stage.machine(), "command": " ".join(["benchmarks/inference", *sys.argv[1:]])}
    show(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    least = str(min(options.at_once))
    return int(not options.quick and stage.middle(result["at_once"][least]["broker"]["over_goal"]) > 1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/inference", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--calls", type=int, default=24, help="calls each way, in each run")
    parser.add_argument("--at-once", type=int, nargs="+", default=AT_ONCE)
    parser.add_argument("--quick", action="store_true", help="that it works, not how fast: no figure is to be quoted")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    parser.add_argument("--stub", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.quick:
        given.runs, given.calls = 1, 2
    return given


async def measure(home: Path, options: argparse.Namespace) -> dict[str, Any]:
    """By calls at once: what was added, of each run; and a hop and a commit of each run."""
    async with stage.broker(home) as spec:
        with _stub(home) as url:
            slots = {"WARREN_SLOTS": str(min(64, max(options.at_once)))}
            env = stage.environment(home, spec.amqp_url, WARREN_OLLAMA_URLS=url, WARREN_MODEL="ollama/stub", **slots)
            hop = stage.python(goals.__file__, "--serve", spec.amqp_url)
            commands: dict[str, Sequence[str]] = {"inference": stage.python("-m", "services.inference"), "hop": hop}
            with stage.processes(commands, env, home / "out.txt"):
                async with _ways(url, spec.amqp_url) as ways:
                    for call in ways.values():  # all are there, and warm
                        await call()
                    runs = [await _run(home, spec.amqp_url, ways, options) for _ in range(options.runs)]
                    commits = await _commits_of(home / "data" / "inference.db", ways["broker"])
    found: dict[str, Any] = {name: [run[name] for run in runs] for name in ("hop_s", "commit_s")}
    return found | {"commits_in_log": commits, "at_once": _compared(runs, options.at_once)}


async def _run(home: Path, url: str, ways: dict[str, Call], options: argparse.Namespace) -> dict[str, Any]:
    async with goals.hopping(url) as hop:
        hops = [await hop() for _ in range(goals.HOPS)]
    with goals.committing(home / "data" / f"commit-{uuid4().hex[:6]}.db") as commit:
        disk = [commit() for _ in range(goals.COMMITS)]
    took: dict[str, Any] = {"hop_s": stage.middle(hops), "commit_s": stage.middle(disk)}
    for at_once in options.at_once:
        for name, call in ways.items():
            took[f"{name} {at_once}"] = await _many(call, at_once, options)
    return took


async def _many(call: Call, at_once: int, options: argparse.Namespace) -> list[Took]:
    in_turn = max(options.calls // at_once, 1 if options.quick else LEAST)

    async def one() -> list[Took]:
        return [await call() for _ in range(in_turn)]

    return [took for each in await asyncio.gather(*(one() for _ in range(at_once))) for took in each]


async def _commits_of(database: Path, call: Call) -> int:
    """In inference's log, for one call."""
    for _ in range(5):
        before = path.commits(database)
        await call()
        after = path.commits(database)
        if before[0] == after[0]:
            return after[1] - before[1]
    raise RuntimeError("the write-ahead log began anew each time")


def _compared(runs: list[dict[str, Any]], levels: list[int]) -> dict[str, Any]:
    """Of each run: percentiles of the direct way, and what the others add. Seconds."""
    found: dict[str, Any] = {}
    for at_once in levels:
        level: dict[str, dict[str, list[float]]] = {name: {} for name in WAYS}
        for run in runs:
            direct = _percentiles(run[f"direct {at_once}"])
            for name, value in direct.items():
                level["direct"].setdefault(name, []).append(value)
            goal = HOPS * run["hop_s"] + COMMITS * run["commit_s"]
            for way in WAYS[1:]:
                added = {name: value - direct[name] for name, value in _percentiles(run[f"{way} {at_once}"]).items()}
                added["over_goal"] = added["p50_s"] / goal
                added["first_over_goal"] = added["first_p50_s"] / goal
                for name, value in added.items():
                    level[way].setdefault(name, []).append(value)
        found[str(at_once)] = level
    return found


def _percentiles(took: list[Took]) -> dict[str, float]:
    totals, firsts = [each.total for each in took], [each.first for each in took]
    return {
        "p50_s": stage.middle(totals),
        "p99_s": stage.tail(totals),
        "first_p50_s": stage.middle(firsts),
        "first_p99_s": stage.tail(firsts),
    }


# ---- the ways


@asynccontextmanager
async def _ways(url: str, amqp_url: str) -> AsyncIterator[dict[str, Call]]:
    """One client of each kind, as a program would have it."""
    asked = ollama.AsyncClient(host=url, trust_env=False)

    async def direct() -> Took:
        began, first = time.perf_counter(), 0.0
        messages = [{"role": "user", "content": "Why?"}]
        async for part in await asked.chat("stub", messages, stream=True, options={"num_predict": 512}):
            first = first or (time.perf_counter() - began if part.message.content else 0.0)
        return Took(time.perf_counter() - began, first)

    async with Client.connect(amqp_url) as client:

        async def broker() -> Took:
            began = time.perf_counter()
            answer = await client.ask(_request(), Generated, deadline_s=stage.ANSWER_S)
            return _checked(answer, Took(time.perf_counter() - began, 0.0))

        async def stream() -> Took:
            began, first = time.perf_counter(), 0.0
            async with aclosing(client.tokens(_request(), deadline_s=stage.ANSWER_S)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Text):
                        first = first or time.perf_counter() - began
                    if isinstance(piece, Ended):
                        return _checked(piece.result, Took(time.perf_counter() - began, first))
            raise RuntimeError("a stream had no end")

        yield {"direct": direct, "broker": broker, "stream": stream}
    await asked.close()  # type: ignore[no-untyped-call]  # the library's own


def _request() -> Generate:
    key = CallKey(goal_id=str(uuid4()), step="s", purpose="chat")
    return Generate(
        call=key, temperature=0.1, messages=(ChatMessage(role="user", content="Why?"),), inputs=Inputs(question="Why?")
    )


def _checked(answer: Generated, took: Took) -> Took:
    """The model's, and not an old one."""
    if answer.finish != "stop" or answer.cached or len(answer.text.split()) != WORDS:
        raise RuntimeError(f"not an answer: {answer}")
    return took


@contextmanager
def _stub(home: Path) -> Iterator[str]:
    """The model server's address."""
    told = home / "stub"
    with stage.processes(
        {"stub": stage.python(__file__, "--stub", str(told))}, stage.environment(home, ""), home / "s"
    ):
        deadline = time.monotonic() + stage.START_S
        while not told.exists():
            if time.monotonic() > deadline:
                raise RuntimeError((home / "s").read_text()[-2000:])
            time.sleep(0.05)
        yield told.read_text()


async def _serve_stub(told: Path) -> None:
    words = [f"word{n} " for n in range(WORDS)]
    async with StubOllama.listening(latency_s=FIRST_S, token_s=BETWEEN_S, words=words) as stub:
        new = told.with_suffix(".new")
        new.write_text(stub.url)
        new.rename(told)
        await asyncio.Event().wait()


# ---- what came of it


def show(result: dict[str, Any]) -> None:
    def ms(values: list[float]) -> str:
        return stage.spread([1000 * value for value in values], " ms")

    print(f"one FastStream hop {ms(result['hop_s'])}, one commit {ms(result['commit_s'])}")
    print(f"commits of one call, in inference's log: {result['commits_in_log']}")
    for at_once, level in result["at_once"].items():
        direct = level["direct"]
        print(f"{at_once} at once: direct p50 {ms(direct['p50_s'])}, first token {ms(direct['first_p50_s'])}")
        for way in WAYS[1:]:
            added = level[way]
            over = stage.spread(added["over_goal"], digits=2)
            print(f"  {way} adds p50 {ms(added['p50_s'])}, p99 {ms(added['p99_s'])}; p50 / goal {over}")
        first = level["stream"]
        over = stage.spread(first["first_over_goal"], digits=2)
        print(f"  to the first token p50 {ms(first['first_p50_s'])}, p99 {ms(first['first_p99_s'])}; p50 / goal {over}")
    runs = len(result["hop_s"])
    print(f"goal: at most {HOPS} hops and {COMMITS} commits of the same run (1.0), one call at a time")
    print(f"medians of {runs} runs (lowest to highest); {result['machine']}; {result['command']}")


if __name__ == "__main__":
    sys.exit(main())
