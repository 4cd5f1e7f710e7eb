"""A real Ollama in the mesh: a weak base model, which invents, so the citation gate has real work; and an embedding
model, with which a search finds what words alone do not."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.contracts.library import PassagesFound, Search
from shared.runtime.client import Client
from tests.e2e.docker.conftest import CORPUS
from tests.e2e.docker.stack import Stack, citations_that_fail, until

ORDER = 2
pytestmark = [pytest.mark.docker, pytest.mark.ollama, pytest.mark.timeout(900)]
MODEL = "gemma3:270m"
EMBEDDER = "all-minilm"
ASKED = "At which hour can guests be in the palace?"
ANSWER = "The palace opens at nine in the morning."
TOWNS = (
    "Basel Bergen Bilbao Bremen Brno Cadiz Delft Ghent Graz Lille Lucca Malmo Nantes Olomouc Ostrava Parma Porto Riga "
    "Siena Split Tartu Trier Turku Utrecht Vilnius Zadar"
).split()
"""More than the passages that a step reads: each of their notes has as many of the question's words as the answer."""


@pytest.fixture(scope="module")
def model(stack: Stack) -> Iterator[str]:
    """Ollama in the same compose project, with its models loaded by `WARREN_TEST_MODEL_LOADER URL`, else pulled. Gone
    afterwards: who tests something else has no use for a thousand documents being embedded beside it."""
    stack.compose("--profile", "ollama", "up", "-d", "--wait", "--no-recreate", "--no-deps", "ollama", timeout_s=300)
    loader = os.environ.get("WARREN_TEST_MODEL_LOADER")
    if loader:
        url = f"http://127.0.0.1:{stack.ollama_port}"
        load = subprocess.run([loader, url], capture_output=True, text=True, timeout=300, check=False)
        assert load.returncode == 0, load.stderr[-2000:]
    else:
        for name in (MODEL, EMBEDDER):
            stack.compose("exec", "-T", "ollama", "ollama", "pull", name, timeout_s=600)
    yield f"ollama/{MODEL}"
    stack.compose("--profile", "ollama", "rm", "--stop", "--force", "ollama")


@pytest.mark.timeout(600)
def test_a_goal_in_other_words_finds_by_meaning_what_words_alone_miss(
    stack: Stack, tmp_path: Path, request: pytest.FixtureRequest
):
    """The same goal twice over the same documents: first no model is there, then one that embeds. Seen from outside."""
    _write_notes(tmp_path)
    asked = ("ask", ASKED, "--corpus", "palace", "--engine", "extractive")
    _add(stack, tmp_path)
    by_words = stack.json(*asked, timeout_s=180)
    assert by_words["status"] == "done"
    assert ANSWER not in by_words["report"]
    assert asyncio.run(_found(stack)) == ("words", False)

    request.getfixturevalue("model")
    (tmp_path / "later.txt").write_text("Later the painter left.")
    _add(stack, tmp_path)  # memory looks for a model when something was added, else each minute
    _until_found_by_meaning(stack)

    by_both = stack.json(*asked, timeout_s=180)
    assert by_both["goal_id"] != by_words["goal_id"]
    assert ANSWER in by_both["report"]
    assert "doors.txt" in [citation["source"] for citation in by_both["citations"]]
    assert citations_that_fail(stack.bundle(by_both["goal_id"])) == []


def _write_notes(folder: Path) -> None:
    (folder / "doors.txt").write_text(ANSWER)
    for n, town in enumerate(TOWNS):
        (folder / f"guests-{n}.txt").write_text(f"Guests came to {town} by train.")
        (folder / f"picture-{n}.txt").write_text(f"A painter from {town} made picture {n + 2} of the palace.")


def _add(stack: Stack, folder: Path) -> None:
    added = stack.warren("corpus", "add", "palace", str(folder))
    assert added.returncode == 0, added.stderr


async def _found(stack: Stack) -> tuple[str, bool]:
    """By what a client's own search is answered, and whether the passage is among the twenty that a step reads."""
    async with Client.connect(stack.url) as client:
        search = Search(corpora=("palace",), query="hour guests palace", meaning=ASKED, limit=20)
        found = await client.ask(search, PassagesFound, deadline_s=60)
    assert found.embedder == (None if found.found_by == "words" else f"ollama/{EMBEDDER}:latest")
    return found.found_by, "doors.txt" in [passage.source for passage in found.passages]


def _until_found_by_meaning(stack: Stack) -> None:
    until(
        lambda: asyncio.run(_found(stack)) == ("words and vectors", True),
        deadline_s=300,
        what="the passages are embedded",
    )


def test_a_weak_model_ends_done_and_every_citation_that_remains_holds(stack: Stack, model: str):
    report = stack.json(
        "ask", "How do quorum queues and classic queues differ?",
        "--corpus", CORPUS, "--engine", model, timeout_s=600,
    )  # fmt: skip
    assert report["status"] == "done"
    # so weak that its sections may all have been replaced by quotes; then the report says so and names it
    assert MODEL in report["engine"] or MODEL in report["report"]
    assert report["stats"]["tokens_out"] > 0
    assert report["citations"], f"nothing survived the gate: {report['removed']}"
    assert citations_that_fail(stack.bundle(report["goal_id"])) == []
    assert stack.warren("verify", str(stack.bundle(report["goal_id"]))).returncode == 0
    print(f"{len(report['citations'])} citations hold, {len(report['removed'])} sentences removed", file=sys.stderr)
