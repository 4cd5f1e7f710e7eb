"""What a goal may cost ends where it should, seen from outside: at a model server that counts and sees who hangs up."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from shared.testing.stub_ollama import StubOllama
from tests.e2e.process.mesh import Mesh, check
from tests.integration.waiting import wait_until

CANCEL_S = 1.0
"""The goal for a cancelled call; on a loaded machine ten times that passes."""


@dataclass
class Modelled(Mesh):
    """A mesh whose model is this server."""

    url: str = ""

    @property
    def env(self) -> dict[str, str]:
        return {**super().env, "WARREN_OLLAMA_URLS": self.url, "WARREN_MODEL": "ollama/stub"}


@pytest.fixture
async def stub() -> AsyncIterator[StubOllama]:
    async with StubOllama.listening() as stub:
        yield stub


@pytest.fixture
async def modelled(mesh: Mesh, stub: StubOllama, tmp_path: Path) -> AsyncIterator[Modelled]:
    """Beside the mesh of the other tests, whose fixture knows whether this machine has a broker."""
    modelled = Modelled(tmp_path / "home", url=stub.url)
    modelled.play(latency_s=0)
    await asyncio.to_thread(modelled.up)
    folder = tmp_path / "shelf"
    folder.mkdir()
    (folder / "lamps.md").write_text(
        "# Harbour lamps\n\nThe north lamp burns whale oil and is lit at dusk by the keeper.\n\n"
        "The south lamp burns gas and lights itself when the light falls below 40 lux.\n"
    )
    assert (await asyncio.to_thread(modelled.warren, "corpus", "add", "shelf", str(folder))).returncode == 0
    yield modelled
    await asyncio.to_thread(modelled.down)


async def test_cancel_hangs_up_on_the_model_and_a_spent_budget_leaves_a_partial_report(
    modelled: Modelled, stub: StubOllama
) -> None:
    stub.latency_s = 60
    steps = [{"id": n, "question": f"What does the {n} lamp burn?"} for n in ("north", "south")]
    goal_id = await publish(modelled, goal="What do the lamps burn?", steps=steps)
    await until(lambda: len(stub.calls) == 1, "the first step is with the model")
    assert (await asyncio.to_thread(modelled.warren, "cancel", goal_id)).returncode == 0
    await until(lambda: stub.calls[0].ended is not None, "the model's connection is closed")
    shown = await asyncio.to_thread(modelled.json, "show", goal_id, "--trace")
    assert shown["goal"]["status"] == "cancelled"
    assert {step["state"] for step in shown["steps"]} == {"dropped"}
    assert not stub.calls[0].finished
    assert stub.calls[0].ended
    cancelled = next(e["at"] for e in shown["events"] if e["event"] == "goal_cancelled")
    took_s = stub.calls[0].ended - datetime.fromisoformat(cancelled).timestamp()
    print(f"the model's connection was closed {took_s:.3f} s after the planner had heard of the cancellation")
    assert took_s < 10 * CANCEL_S
    # One slot, first come first served: had the other step's call not been dropped, it would come before this goal's.
    stub.latency_s = 0
    stub.calls.clear()
    await budget(modelled, stub)


async def budget(modelled: Modelled, stub: StubOllama) -> None:
    """450 tokens are enough for a plan and too few for all that follows."""
    asked = ("ask", "What does the north lamp burn? What lights the south lamp?", "--corpus", "shelf", "--json")
    answer = await asyncio.to_thread(modelled.warren, *asked, "--max-tokens", "450")
    assert answer.returncode == 1, answer.stderr
    printed = json.loads(answer.stdout)
    report = check(modelled.home / "reports" / printed["goal_id"])
    assert report["status"] == "failed"
    assert report["report"].startswith("**Partial report:** its budget of 450 tokens")
    assert report["citations"]
    paid = sum(call.tokens_in + call.tokens_out for call in stub.calls)
    assert report["stats"]["tokens_in"] + report["stats"]["tokens_out"] == paid <= 450


async def publish(modelled: Modelled, **goal: object) -> str:
    line = json.dumps({"corpus": "shelf", **goal}) + "\n"
    answer = await asyncio.to_thread(modelled.warren, "publish", stdin=line)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.split()[0]


async def until(condition: object, what: str) -> None:
    await asyncio.to_thread(wait_until, condition, deadline_s=10 * CANCEL_S + 20, what=what)
