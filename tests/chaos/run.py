"""One run from beginning to end: start the mesh, publish and kill, wait until all is calm, do the accounts."""

import asyncio
import contextlib
import json
import logging
import re
import shutil
import signal
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from aio_pika.abc import AbstractIncomingMessage

from shared.messaging.ids import goal_id_for
from shared.testing.stub_ollama import StubOllama
from tests.chaos.accounts import ENDED, Told, accounts, passed, table
from tests.chaos.containers import DockerMesh
from tests.chaos.ledger import Ledger, mark_of
from tests.chaos.options import Options
from tests.chaos.picture import picture
from tests.chaos.plan import Plan
from tests.chaos.seen import Seen
from tests.chaos.strike import Striker
from tests.chaos.target import ProcessMesh, Target
from tests.chaos.wire import Wire

CORPUS, MODEL, SAY_S = "chaos", "chaos", 2.0
QUESTIONS = (
    "What is a dead-letter queue for?", "How does a lease with a fencing token protect a step?",
    "What does a publisher confirm promise?", "How do quorum queues survive the death of a node?",
    "What is the transactional outbox?", "Why should a consumer limit its prefetch?",
)  # fmt: skip
ASKING = 16
"""Goals about which the planner is asked at once, afterwards."""


@dataclass
class Run:
    """All that a run has in hand. `until`: then it publishes and kills no more."""

    options: Options
    target: Target
    stub: StubOllama
    wire: Wire
    ledger: Ledger
    seen: Seen
    striker: Striker
    began: float = field(default_factory=time.time)
    until: float = 0.0

    def __post_init__(self) -> None:
        self.until = self.began + self.options.seconds

    def end_early(self) -> None:
        """No more goals and kills: what is open is waited for, and the accounts are done."""
        print("no more goals and kills; asked once more it stops at once, without accounts", flush=True)
        self.until = time.time()
        asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)

    async def publish(self) -> None:
        """At a steady rate, whatever happens meanwhile: what is not confirmed yet does not hold up the next. A mesh
        that is slower than that gets a new goal when it has ended one."""
        loop, begun, confirms = asyncio.get_running_loop(), asyncio.get_running_loop().time(), set()
        for number in range(self.options.goals):
            await asyncio.sleep(max(0.0, begun + number / self.options.rate - loop.time()))
            while self.ledger.open >= self.options.open and time.time() < self.until:
                await asyncio.sleep(0.05)
            if time.time() >= self.until:
                break
            confirms.add(asyncio.create_task(self._publish_one(number)))
        if confirms:
            await asyncio.wait(confirms)

    async def _publish_one(self, number: int) -> None:
        message_id = str(uuid5(UUID(int=self.options.seed), f"{self.wire.queue} {number}"))
        self.ledger.published(number, message_id, goal_id_for("", message_id))
        await self.wire.publish("cmd.planner.submit_goal.v1", goal(number), message_id=message_id)
        self.ledger.confirmed(message_id)

    def disturbing(self) -> bool:
        """Is there work that a kill could hit, or will there be?"""
        left = len(self.ledger.entries) < self.options.goals or any(self.ledger.unanswered())
        return left and time.time() < self.until

    async def calm(self) -> None:
        """Until every confirmed goal was answered; at most `calm_s` seconds."""
        deadline = time.time() + self.options.calm_s
        while any(self.ledger.unanswered()) and time.time() < deadline:
            await asyncio.sleep(0.1)

    async def say_how_it_goes(self) -> None:
        while True:
            await asyncio.sleep(SAY_S)
            faults, entries = self.striker.faults, self.ledger.entries.values()
            last = faults[-1] if faults else None
            took = f"{last.recovery_s:.1f} s" if last and last.recovery_s is not None else "not yet"
            told = f"; last: {last.kind} {last.instance} ({last.held}), back: {took}" if last else ""
            print(
                f"{time.time() - self.began:6.0f} s  goals {len(entries)}/{self.options.goals}, "
                f"{sum(bool(e.answers) for e in entries)} ended, faults {len(faults)}/{self.options.kills}{told}",
                flush=True,
            )

    async def told(self) -> dict[str, Told]:
        """The planner's own word on each confirmed goal."""
        found: dict[str, Told] = {}
        gate = asyncio.Semaphore(ASKING)

        async def one(goal_id: str) -> None:
            async with gate:
                if (says := await self._told(goal_id)) is not None:
                    found[goal_id] = says

        await asyncio.gather(*(one(entry.goal_id) for entry in self.ledger.confirmed_entries()))
        return found

    async def _told(self, goal_id: str) -> Told | None:
        for _ in range(3):
            shown = await self.wire.ask("cmd.planner.show_goal.v1", {"goal_id": goal_id})
            listed = await self.wire.ask("cmd.planner.events_since.v1", {"goal_id": goal_id, "limit": 1000})
            if shown and listed and "goal" in shown and "events" in listed:
                events = listed["events"]
                ends = sum(e["event"] in ("goal_completed", "goal_failed", "goal_cancelled") for e in events)
                gaps = max((e["seq"] for e in events), default=0) - len({e["seq"] for e in events})
                return Told(shown["goal"]["status"], ends, gaps, shown["goal"].get("reason"))
        return None


def goal(number: int) -> dict[str, Any]:
    """The body of a goal. Its number stands in every question, so that no two goals ask the model the same.

    Of ten goals one is planned by the model, three bring two steps (in parallel or in a row), six bring one.
    """
    mark, question = mark_of(number), QUESTIONS[number % len(QUESTIONS)]
    body: dict[str, Any] = {"goal": f"{question} {mark}", "corpus": CORPUS, "namespace": f"chaos-{number % 1000}"}
    if number % 10 == 0:
        return body
    body["steps"] = [{"id": "a", "question": f"{question} {mark}"}]
    if number % 10 in (1, 2, 3):
        second = {"id": "b", "question": f"{QUESTIONS[(number + 1) % len(QUESTIONS)]} {mark}"}
        body["steps"].append({**second, "depends_on": ["a"]} if number % 2 else second)
    return body


async def run(options: Options) -> int:
    """Exit code 0 when no goal was lost, duplicated or stuck; 1 otherwise."""
    folder = options.out / f"{options.target}-{options.seed}-{time.strftime('%H%M%S')}"
    folder.mkdir(parents=True)
    home, docker = folder / "home", options.target == "docker"
    target: DockerMesh | ProcessMesh = DockerMesh(home) if docker else ProcessMesh(home, workers=options.workers)
    host = await target.stub_host() if isinstance(target, DockerMesh) else "127.0.0.1"
    print(f"chaos: {options.kills} kills, {options.goals} goals, seed {options.seed}, {options.target}; {folder}")
    settings: dict[str, Any] = {
        "host": host,
        "model": MODEL,
        "latency_s": options.latency_s,
        "mark": re.compile(r"\(no\. \d+\)"),
    }
    async with StubOllama.listening(**settings) as stub:
        try:
            url = await target.up(
                {"WARREN_OLLAMA_URLS": stub.url, "WARREN_MODEL": f"ollama/{MODEL}", "WARREN_CACHE_KEPT": "0"}
            )
            await target.warren("corpus", "add", CORPUS, str(Path(__file__).with_name("corpus")))
            figures = await _attack(options, target, stub, url, folder)
        finally:
            await target.down()
    print(table(figures))
    print(f"\nwritten: {folder}/chaos.json, chaos.svg, ledger.jsonl")
    if not options.keep and passed(figures):
        shutil.rmtree(folder / "home", ignore_errors=True)
    good, bad = "nothing lost, duplicated, stuck or paid twice", "goals lost, duplicated or stuck, or calls paid twice"
    print(f"passed: {good}" if passed(figures) else f"FAILED: {bad}")
    return 0 if passed(figures) else 1


async def _attack(options: Options, target: Target, stub: StubOllama, url: str, folder: Path) -> dict[str, Any]:
    seen, ledger = Seen(), Ledger(folder / "ledger.jsonl")

    def answered(message: AbstractIncomingMessage) -> None:
        if message.type == "goal_ended.v1":
            ledger.answered(message.correlation_id or "", message.message_id or "", message.body)
            if entry := ledger.entries.get(message.correlation_id or ""):
                seen.answered(entry.goal_id)

    def heard(message: AbstractIncomingMessage) -> None:
        seen.hear(json.loads(message.body), time.time())

    wire = Wire(url, f"client.chaos.{folder.name}", answered, heard)
    plan = Plan(options.seed, target.services, options.storm, cuts=await target.can_cut())
    if not plan.cuts:
        print("connections cannot be cut here (that needs root and `ss -K`): no network faults in this run")
    striker = Striker(target, wire, seen, plan, calls=lambda: stub.open)
    run = Run(options, target, stub, wire, ledger, seen, striker)
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, run.end_early)
    beside = [asyncio.create_task(wire.stay_connected()), asyncio.create_task(run.say_how_it_goes())]
    try:
        spacing = 0.5 if options.storm else options.spacing_s
        await asyncio.gather(run.publish(), striker.run(options.kills, spacing_s=spacing, more=run.disturbing))
        print("no more kills: waiting for the goals that are open", flush=True)
        await run.calm()
        await striker.recovered()
        told = await run.told()
        dead = await wire.ask("cmd.planner.list_dead_letters.v1", {"limit": 1000}) or {}
        await wire.forget()
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        ledger.close()
    figures = _figures(run, told, dead.get("dead_letters", []))
    (folder / "chaos.json").write_text(json.dumps(figures, indent=1) + "\n")
    (folder / "chaos.svg").write_text(_picture(run, figures))
    return figures


def _figures(run: Run, told: dict[str, Told], dead: list[dict[str, Any]]) -> dict[str, Any]:
    figures = accounts(run.ledger.entries.values(), told, run.stub.calls, run.striker.faults)
    asked = {**asdict(run.options), "out": str(run.options.out)}
    faults = [{**asdict(fault), "at": round(fault.at - run.began, 2)} for fault in run.striker.faults]
    more = {"missed": run.striker.missed, "seconds": round(time.time() - run.began, 1)}
    letters = [{key: letter.get(key) for key in ("queue", "reason", "goal_id")} for letter in dead]
    return {"options": asked, **figures, **more, "dead_letters": letters, "faults": faults}


def _picture(run: Run, figures: dict[str, Any]) -> str:
    entries = run.ledger.confirmed_entries()
    confirmed = [entry.confirmed_at for entry in entries if entry.confirmed_at is not None]
    ended = [entry.answers[0].at for entry in entries if entry.answers]
    counts = ", ".join(f"{figures[name]} {name}" for name in ENDED if figures[name])
    wrong = ", ".join(f"{len(figures[name])} {name}" for name in ("lost", "duplicated", "stuck"))
    title = f"{len(run.striker.faults)} faults, {len(confirmed)} goals: {counts}; {wrong} (seed {run.options.seed})"
    return picture(confirmed, ended, run.striker.faults, title=title)


def main(options: Options) -> int:
    for name in ("aio_pika", "aiormq"):  # they report every lost connection at length; losing it is what we do here
        logging.getLogger(name).setLevel(logging.CRITICAL)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))  # what was started is stopped, too
    with contextlib.suppress(KeyboardInterrupt):
        return asyncio.run(run(options))
    return 130
