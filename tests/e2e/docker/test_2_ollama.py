"""The same goal through a real Ollama with a weak base model: it invents, so the citation gate has real work."""

import os
import subprocess
import sys

import pytest

from tests.e2e.docker.conftest import CORPUS
from tests.e2e.docker.stack import Stack, citations_that_fail

ORDER = 2
pytestmark = [pytest.mark.docker, pytest.mark.ollama, pytest.mark.timeout(900)]
MODEL = "gemma3:270m"


@pytest.fixture(scope="module")
def model(stack: Stack) -> str:
    """Ollama in the same compose project, with the model loaded by `WARREN_TEST_MODEL_LOADER URL`, else pulled."""
    stack.compose("--profile", "ollama", "up", "-d", "--wait", "--no-recreate", "--no-deps", "ollama", timeout_s=300)
    loader = os.environ.get("WARREN_TEST_MODEL_LOADER")
    if loader:
        url = f"http://127.0.0.1:{stack.ollama_port}"
        load = subprocess.run([loader, url], capture_output=True, text=True, timeout=300, check=False)
        assert load.returncode == 0, load.stderr[-2000:]
    else:
        stack.compose("exec", "-T", "ollama", "ollama", "pull", MODEL, timeout_s=600)
    return f"ollama/{MODEL}"


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
