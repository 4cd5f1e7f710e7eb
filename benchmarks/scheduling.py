"""Three model hosts of different speed (1, 2, 4) and a list of jobs from a seed: when is the last one done?

    benchmarks/scheduling [--runs 1] [--jobs 48] [--seed 1] [--ollama URL --model NAME] [--quick] [--json FILE]

One slot each; a job is a number of tokens, known by its `max_tokens`. The same jobs in the same order, all there from
the start: by Warren (`Generate` over a private broker to the real inference service, which has measured the hosts with
six small calls before), and round robin (`ollama.AsyncClient`, job k at host k mod 3, one at a time at each host). The
oracle is a bound from below that no order can beat: the tokens of the k longest jobs at the speed of the k fastest
hosts, of all at that of all hosts together. Speeds are those that the stubs had in the same run, by their own clocks.
Goal: Warren takes at most 1.10 of the oracle's time. Then four agents share one slot: one has asked for 24 calls before
the three others ask for 6 each; who was served, counted at the stub, while all had calls waiting, and at what place
the others' last call came. With `--ollama` that slot is one of a real server, and answers are counted. Exit 1 when the
goal is missed.
"""

import argparse
import asyncio
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import ollama

from benchmarks import stage
from shared.contracts.generation import CallKey, ChatMessage, Generate, Generated, Inputs
from shared.runtime.client import Client
from shared.testing.stub_ollama import Call, StubOllama

PACES_S = (0.08, 0.04, 0.02)
"""Seconds a token, of each host."""
TOKENS = (10, 60)
MODEL = "ollama/stub"
WORDS = [f"word{n} " for n in range(TOKENS[1])]
GOAL = 1.10
GREEDY, MODEST, OTHERS = 24, 6, 3


def main() -> int:
    """Exit code 1 when the goal is missed."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="warren-scheduling-") as folder:
        result = asyncio.run(measure(Path(folder), options))
    result |= {"machine": stage.machine(), "command": " ".join(["benchmarks/scheduling", *sys.argv[1:]])}
    show(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return int(not options.quick and stage.middle(result["warren_over_oracle"]) > GOAL)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/scheduling", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=1, help="with the seeds that follow")
    parser.add_argument("--jobs", type=int, default=48)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ollama", default="", help="a real server, whose slot the agents share")
    parser.add_argument("--model", default="gemma3:270m", help="of that server")
    parser.add_argument("--quick", action="store_true", help="that it works, not how fast: no figure is to be quoted")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    given = parser.parse_args()
    if given.quick:
        given.runs, given.jobs = 1, 9
    return given


async def measure(home: Path, options: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, list[Any]] = {}
    async with stage.broker(home) as spec:
        for run in range(options.runs):
            chance = random.Random(options.seed + run)  # the same jobs each time
            jobs = [chance.randint(*TOKENS) for _ in range(options.jobs)]
            took = await _makespans(home, spec.amqp_url, jobs)
            took |= await _fairness(home, spec.amqp_url, options)
            for name, value in took.items():
                found.setdefault(name, []).append(value)
    return found


# ---- three hosts


async def _makespans(home: Path, amqp_url: str, jobs: Sequence[int]) -> dict[str, Any]:
    async with _hosts(PACES_S) as stubs, _inference(home, amqp_url, [stub.url for stub in stubs]) as client:
        await asyncio.gather(*(_ask(client, TOKENS[0]) for _ in range(2 * len(stubs))))
        learnt = [len(stub.calls) for stub in stubs]
        warren_s = await _timed(*(_ask(client, tokens) for tokens in jobs))
        by_warren = [stub.calls[first:] for stub, first in zip(stubs, learnt, strict=True)]
        _check(by_warren, jobs)
        robin_s = await _timed(*(_in_turn(stub, jobs[n :: len(stubs)]) for n, stub in enumerate(stubs)))
        by_robin = [stub.calls[-len(jobs[n :: len(stubs)]) :] for n, stub in enumerate(stubs)]
    return {
        "warren_s": warren_s,
        "oracle_s": (oracle_s := bound(jobs, _speeds(by_warren))),
        "warren_over_oracle": warren_s / oracle_s,
        "nominal_s": (nominal_s := bound(jobs, [1 / pace for pace in PACES_S])),
        "warren_over_nominal": warren_s / nominal_s,
        "robin_s": robin_s,
        "robin_over_oracle": robin_s / bound(jobs, _speeds(by_robin)),
        "at_hosts": [len(calls) for calls in by_warren],
    }


def bound(jobs: Sequence[int], speeds: Sequence[float]) -> float:
    """Seconds below which no order of these jobs ends, on hosts with so many tokens a second and one slot each: k jobs
    keep k hosts busy at most, and not sooner than the fastest ones would."""
    sizes, rates = sorted(jobs, reverse=True), sorted(speeds, reverse=True)
    some = [sum(sizes[: k + 1]) / sum(rates[: k + 1]) for k in range(len(rates) - 1)]
    return max([*some, sum(sizes) / sum(rates)])


def _speeds(calls: Sequence[Sequence[Call]]) -> list[float]:
    """Tokens per second of each host while it was at work, as it measured itself."""
    return [
        sum(call.tokens_out for call in each) / sum((call.ended or 0) - call.began for call in each) for each in calls
    ]


def _check(calls: Sequence[Sequence[Call]], jobs: Sequence[int]) -> None:
    """Each job was made once, and never two at a host."""
    made = sorted(call.tokens_out for each in calls for call in each)
    if made != sorted(jobs):
        raise RuntimeError(f"{len(made)} calls of {len(jobs)}: {made}")
    for each in calls:
        order = sorted(each, key=lambda call: call.began)
        if any(after.began < (before.ended or 0) for before, after in pairwise(order)):
            raise RuntimeError("two calls at once at a host with one slot")


async def _in_turn(stub: StubOllama, jobs: Sequence[int]) -> None:
    """One after another, as the server's own client does it."""
    client = ollama.AsyncClient(host=stub.url, trust_env=False)
    for tokens in jobs:
        messages = [{"role": "user", "content": "Why?"}]
        async for _ in await client.chat("stub", messages, stream=True, options={"num_predict": tokens}):
            pass
    await client.close()  # type: ignore[no-untyped-call]  # the library's own


# ---- agents that share a slot


async def _fairness(home: Path, amqp_url: str, options: argparse.Namespace) -> dict[str, Any]:
    """`served`: calls of each of four agents among the first ones, while all had some waiting. `fairness`: Jain's index
    of that, 1.0 for equal shares. `last`: at what place the last call of the modest ones came; first come, first
    served would end with them."""
    greedy, modest = (6, 2) if options.quick else (GREEDY, MODEST)
    agents = [str(uuid4()) for _ in range(1 + OTHERS)]
    answered: list[str] = []

    async def one(agent: str) -> None:
        await _ask(client, TOKENS[0], agent=agent, model=options.model if options.ollama else "")
        answered.append(agent)

    async with _hosts((PACES_S[-1],)) as (stub,), _inference(home, amqp_url, [options.ollama or stub.url]) as client:
        first = [asyncio.create_task(one(agents[0])) for _ in range(greedy)]
        while not answered:  # all of its calls are there
            await asyncio.wait(first, timeout=0.01)
        await asyncio.gather(*first, *(one(agent) for agent in agents[1:] for _ in range(modest)))
        by_host = [call.mark for call in sorted(stub.calls, key=lambda call: call.began)]
    order = answered if options.ollama else by_host
    if sorted(Counter(order).values()) != sorted([greedy, *[modest] * OTHERS]):
        raise RuntimeError(f"not all calls were made, or one twice: {order}")
    last = max(place for place, agent in enumerate(order, 1) if agent != agents[0])
    until = min(max(place for place, mark in enumerate(order) if mark == agent) for agent in agents)
    served = [order[: until + 1].count(agent) for agent in agents]
    fairness = sum(served) ** 2 / (len(served) * sum(each**2 for each in served))
    return {"served": served, "fairness": fairness, "last": last, "of": len(order)}


# ---- the stage


@asynccontextmanager
async def _hosts(paces_s: Sequence[float]) -> AsyncIterator[list[StubOllama]]:
    """Stubs in this process, so that their own clocks and counts are at hand."""
    mark = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(StubOllama.listening(token_s=pace, words=WORDS, mark=mark))
            for pace in paces_s
        ]


@asynccontextmanager
async def _inference(home: Path, amqp_url: str, urls: Sequence[str]) -> AsyncIterator[Client]:
    """The service, from an empty ledger, and a client of it."""
    own = home / uuid4().hex[:8]
    own.mkdir()
    env = stage.environment(own, amqp_url, WARREN_OLLAMA_URLS=",".join(urls), WARREN_MODEL=MODEL)
    command = {"inference": stage.python("-m", "services.inference")}
    with stage.processes(command, env, own / "out.txt"):
        async with Client.connect(amqp_url) as client:
            yield client


async def _ask(client: Client, tokens: int, *, agent: str = "", model: str = "") -> None:
    """`model`: of a real server, whose answers may be shorter."""
    key = CallKey(goal_id=agent or str(uuid4()), step=uuid4().hex, purpose="chat")
    words = f"Why, {agent}?" if agent else "Why?"
    request = Generate(
        call=key,
        engine=f"ollama/{model}" if model else MODEL,
        temperature=0.1,
        max_tokens=tokens,
        messages=(ChatMessage(role="user", content=words),),
        inputs=Inputs(question=words),
    )
    answer = await client.ask(request, Generated, deadline_s=stage.ANSWER_S)
    if answer.finish == "failed" or (answer.usage.tokens_out != tokens and not model):
        raise RuntimeError(f"not an answer of {tokens} tokens: {answer}")


async def _timed(*work: Any) -> float:
    began = time.perf_counter()
    await asyncio.gather(*work)
    return time.perf_counter() - began


# ---- what came of it


def show(result: dict[str, Any]) -> None:
    print(f"oracle (a bound from below) {stage.spread(result['oracle_s'], ' s')}")
    for name in ("warren", "robin"):
        over = stage.spread(result[f"{name}_over_oracle"], digits=3)
        print(f"{name}: {stage.spread(result[f'{name}_s'], ' s')}, {over} x oracle")
    print(f"warren, of the bound by the stubs' nominal speeds: {stage.spread(result['warren_over_nominal'], digits=3)}")
    print(f"calls at the hosts (1x, 2x, 4x), by Warren: {result['at_hosts']}")
    print(
        f"one slot, four agents: served {result['served']}, Jain's index {stage.spread(result['fairness'], digits=3)}"
    )
    print(f"  last call of those with few: place {result['last']} of {result['of']}")
    print(f"goal: warren at most {GOAL} x oracle")
    print(f"medians of {len(result['warren_s'])} runs (lowest to highest); {result['machine']}; {result['command']}")


if __name__ == "__main__":
    sys.exit(main())
