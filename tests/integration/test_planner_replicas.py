"""Two planners, two memories, two inference services side by side on one PostgreSQL and a real RabbitMQ; one of each is
killed in the middle, and the others finish every goal, each once. Processes, as in production; no watchdog, so what is
dead stays dead."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from shared.contracts.findings import FindingsListed, ListFindings
from shared.contracts.goals import EventsListed, EventsSince, GoalEnded, GoalsListed, ListGoals, SubmitGoal
from shared.runtime.client import Client
from tests.integration.databases import postgres_container
from tests.integration.wire import DEADLINE_S, Wire, wire_to

GOALS, FIRST = 12, 3
ALL_S = 240.0
"""A lost lease (5 s), a retry queue or two, and this on a machine that is ten times slower."""
REPLICATED = ("planner", "memory", "inference")
TEXT = (
    "# Harbour lamps\n\nThe north lamp burns whale oil and is lit at dusk by the keeper. "
    "The south lamp burns gas and lights itself when the light falls below 40 lux.\n"
)


@dataclass
class Replicas:
    """Processes by name: planner-1, planner-2, ... Each has its own log."""

    home: Path
    amqp_url: str
    database_url: str
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def script(self) -> Path:
        return self.home / "script.json"

    def start(self, name: str) -> None:
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("WARREN_")},
            "WARREN_HOME": str(self.home),
            "WARREN_AMQP_URL": self.amqp_url,
            "WARREN_DATABASE_URL": self.database_url,
            "WARREN_INSTANCE": name,
            "WARREN_MODEL": "scripted",
            "WARREN_SCRIPT": str(self.script),
            "WARREN_OLLAMA_URLS": "http://127.0.0.1:9",
            "WARREN_LEASE": "5",
            "WARREN_LOST_AFTER": "5",
        }
        with (self.home / f"{name}.log").open("ab") as log:
            command = [sys.executable, "-m", f"services.{name.partition('-')[0]}"]
            self.running[name] = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def alive(self) -> set[str]:
        return {name for name, process in self.running.items() if process.poll() is None}

    def calls(self) -> Counter[tuple[str, ...]]:
        """Model calls as the scripted engine wrote them down, by goal, step, purpose and ordinal."""
        lines = map(json.loads, Path(f"{self.script}.calls").read_text().splitlines())
        return Counter((c["goal_id"], c["step"], c["purpose"], str(c["ordinal"])) for c in lines)

    def logs(self) -> str:
        return "\n".join(f"== {log.name}\n{log.read_text()[-1500:]}" for log in sorted(self.home.glob("*.log")))


@contextmanager
def processes(home: Path, amqp_url: str, database_url: str) -> Iterator[Replicas]:
    replicas = Replicas(home, amqp_url, database_url)
    replicas.script.write_text(json.dumps({"latency_s": 0.2, "answers": [{"purpose": "plan", "latency_s": 0}]}))
    try:
        yield replicas
    finally:
        for process in replicas.running.values():
            process.terminate()  # all at once, then wait
        for process in replicas.running.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture
async def wire(amqp_url: str) -> AsyncIterator[Wire]:
    async with wire_to(amqp_url) as wire:
        yield wire


@pytest.fixture
def replicas(amqp_url: str, tmp_path: Path, wire: Wire) -> Iterator[Replicas]:
    with ExitStack() as stack:
        database_url = stack.enter_context(postgres_container())
        replicas = stack.enter_context(processes(tmp_path, amqp_url, database_url))
        for service in REPLICATED:
            for number in (1, 2):  # at once: both find an empty database
                replicas.start(f"{service}-{number}")
        for service in ("researcher", "writer"):
            replicas.start(f"{service}-1")
        yield replicas


async def both_consume(wire: Wire, replicas: Replicas) -> None:
    pause = threading.Event()  # never set
    async with asyncio.timeout(2 * DEADLINE_S):
        for queue, count in {**{f"{s}.v1": 2 for s in REPLICATED}, "researcher.v1": 1, "writer.v1": 1}.items():
            while (await wire.channel.declare_queue(queue, passive=True)).declaration_result.consumer_count != count:
                assert len(replicas.alive()) == 8, replicas.logs()
                await asyncio.to_thread(pause.wait, 0.2)


def shelve(replicas: Replicas) -> None:
    folder = replicas.home / "shelf"
    folder.mkdir()
    (folder / "lamps.md").write_text(TEXT)
    environment = {**os.environ, "WARREN_AMQP_URL": replicas.amqp_url, "WARREN_HOME": str(replicas.home)}
    command = [sys.executable, "-m", "services.cli", "corpus", "add", "shelf", str(folder)]
    added = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=2 * DEADLINE_S, check=False
    )
    assert added.returncode == 0, added.stderr + replicas.logs()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("amqp_url", ["host"], indirect=True)
async def test_one_of_each_is_killed_in_the_middle_and_the_others_finish_every_goal_once(
    wire: Wire, replicas: Replicas, amqp_url: str
) -> None:
    await both_consume(wire, replicas)
    await asyncio.to_thread(shelve, replicas)
    for number in range(GOALS):
        goal = {"goal": f"What does the {'north' if number % 2 else 'south'} lamp burn? ({number})", "corpus": "shelf"}
        await wire.publish(goal, key=SubmitGoal.key(), reply_to=wire.reply_to, message_id=f"goal-{number}")
    answers: dict[str, set[str]] = {}
    ended: dict[str, str] = {}
    async with asyncio.timeout(ALL_S):
        while len(ended) < GOALS:
            reply = await wire.replies.get()
            answer = GoalEnded.model_validate_json(reply.body)
            assert answer.goal_id, answer
            answers.setdefault(answer.goal_id, set()).add(str(reply.message_id))
            ended[answer.goal_id] = answer.status
            if len(ended) == FIRST and "planner-1" in replicas.running:
                for service in REPLICATED:
                    replicas.kill(f"{service}-1")
    assert Counter(ended.values()) == {"done": GOALS}, replicas.logs()
    assert all(len(ids) == 1 for ids in answers.values()), "at worst the same answer again"
    assert replicas.alive() == {"planner-2", "memory-2", "inference-2", "researcher-1", "writer-1"}
    async with Client.connect(amqp_url, timeout_s=DEADLINE_S) as client:
        goals = (await client.ask(ListGoals(), GoalsListed, deadline_s=DEADLINE_S)).goals
        assert {goal.goal_id for goal in goals} == set(ended), "no goal was accepted twice"
        for goal_id in ended:
            events = (await client.ask(EventsSince(goal_id=goal_id), EventsListed, deadline_s=DEADLINE_S)).events
            assert [event.seq for event in events] == list(range(1, len(events) + 1))
            assert Counter(event.event for event in events)["goal_completed"] == 1
        listing = ListFindings(limit=1000)
        kept = (await client.ask(listing, FindingsListed, deadline_s=DEADLINE_S)).findings
        once = Counter((finding.goal_id, finding.text) for finding in kept)
        assert set(once.values()) == {1}, "each finding is remembered once"
    twice = [call for call, count in replicas.calls().items() if count > 1]
    assert len(twice) <= 1, f"one slot: one call was in flight when its inference died, no other is made again: {twice}"
