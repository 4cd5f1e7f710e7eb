"""The inference process on a real broker: asked by a client, killed in the middle of a call, started again."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from shared.contracts.generation import DescribeEngine, Embed, EngineDescribed, Generated
from shared.contracts.goals import StepProgress
from shared.contracts.models import ListModels, ModelReady, ModelsListed, PreloadModel
from shared.errors import RequestFailed
from shared.messaging.ids import derived_id
from shared.runtime.client import Client
from shared.testing.stub_openai import StubOpenAI
from tests.integration.waiting import wait_until
from tests.unit.inference.requests import generate

DEADLINE_S = 60.0


@contextmanager
def inference(home: Path, amqp_url: str, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """The service as a process of its own, and its log on failure."""
    own = {"WARREN_HOME": str(home), "WARREN_AMQP_URL": amqp_url, "WARREN_INSTANCE": "inference-1"}
    own["WARREN_BEAT_FILE"] = str(home / "beat")
    (home / "beat").unlink(missing_ok=True)
    environment = {**os.environ, **own, "WARREN_LOG_FORMAT": "text", **settings}
    with (home / "log").open("ab") as log:
        command = [sys.executable, "-m", "services.inference"]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        wait_until(lambda: _ready(home / "beat"), deadline_s=DEADLINE_S, what="the service is ready")
        yield process
    finally:
        process.terminate()
        process.wait(30)
        print((home / "log").read_text())


def _ready(beat: Path) -> bool:
    return beat.exists() and '"ready": true' in beat.read_text()


def script(home: Path, **content: object) -> Path:
    path = home / "script.json"
    path.write_text(json.dumps(content))
    return path


def calls(path: Path) -> int:
    counted = Path(f"{path}.calls")
    return len(counted.read_text().splitlines()) if counted.exists() else 0


async def test_without_a_model_it_quotes_and_says_why(amqp_url: str, tmp_path: Path, unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    with inference(tmp_path, amqp_url, WARREN_OLLAMA_URLS=url):
        async with Client.connect(amqp_url) as client:
            described = await client.ask(DescribeEngine(), EngineDescribed, deadline_s=DEADLINE_S)
            answer = await client.ask(generate(goal_id=str(uuid4())), Generated, deadline_s=DEADLINE_S)
            with pytest.raises(RequestFailed) as refused:
                await client.ask(Embed(texts=("a",)), Generated, deadline_s=DEADLINE_S)
    assert (described.engine, described.usable) == ("extractive", True)
    assert described.reason == (
        f"no model: {url} refused: Ollama on Linux listens on 127.0.0.1 only, "
        "set OLLAMA_HOST=0.0.0.0 or use --profile ollama"
    )
    assert (answer.engine, answer.engine_reason, answer.finish) == ("extractive", described.reason, "stop")
    assert answer.text.endswith("[p1]")
    assert refused.value.kind == "no_embedder"


async def test_a_call_survives_the_death_of_its_process(amqp_url: str, tmp_path: Path) -> None:
    path = script(tmp_path, answers=[{"text": "Queues hold messages for their consumers [p1].", "token_s": 0.4}])
    settings = {"WARREN_MODEL": "scripted", "WARREN_SCRIPT": str(path)}
    request = generate(goal_id=derived_id(uuid4()))
    async with (
        Client.connect(amqp_url) as client,
        client.watch(request.call.goal_id, StepProgress) as signs,
    ):
        with inference(tmp_path, amqp_url, **settings) as first:
            asked = asyncio.create_task(client.ask(request, Generated, deadline_s=DEADLINE_S))
            await asyncio.to_thread(wait_until, lambda: calls(path) == 1, deadline_s=DEADLINE_S, what="the call runs")
            async with asyncio.timeout(DEADLINE_S):
                sign = await signs.get()
            first.kill()
            first.wait()
        with inference(tmp_path, amqp_url, **settings):
            answer = await asked
            again = await client.ask(request, Generated, deadline_s=DEADLINE_S)
    assert isinstance(sign, StepProgress)
    assert "tokens" in sign.text
    assert (answer.finish, answer.text) == ("stop", "Queues hold messages for their consumers [p1].")
    assert again.cached
    assert calls(path) == 2


async def test_an_openai_compatible_server_answers_like_any_other_model(
    amqp_url: str, tmp_path: Path, unused_tcp_port: int
) -> None:
    """Its key stands in a file; `auto` takes it where no Ollama answers; the result says who answered, at what cost."""
    prices = tmp_path / "prices.toml"
    prices.write_text('[[price]]\nmodel = "openai/stub-8b"\nread = 0.0\nwritten = 1000000.0\n')
    (tmp_path / "key").write_text("secret\n")
    async with StubOpenAI.listening(key="secret", thinking=("Hm.",), words=["Queues ", "hold [p1]."]) as stub:
        ollama = f"http://127.0.0.1:{unused_tcp_port}"
        settings = {"WARREN_OLLAMA_URLS": ollama, "WARREN_OPENAI_URLS": stub.url, "WARREN_PRICES": str(prices)}
        with inference(tmp_path, amqp_url, WARREN_OPENAI_API_KEY_FILE=str(tmp_path / "key"), **settings):
            async with Client.connect(amqp_url) as client:
                described = await client.ask(DescribeEngine(), EngineDescribed, deadline_s=DEADLINE_S)
                answer = await client.ask(generate(goal_id=str(uuid4())), Generated, deadline_s=DEADLINE_S)
                listed = await client.ask(ListModels(), ModelsListed, deadline_s=DEADLINE_S)
                with pytest.raises(RequestFailed) as refused:
                    await client.ask(PreloadModel(model="stub-8b", host=stub.url), ModelReady, deadline_s=DEADLINE_S)
    assert (described.engine, described.reason) == ("openai/stub-8b", None)
    assert (answer.engine, answer.provider, answer.model) == ("openai/stub-8b", "openai", "stub-8b")
    assert (answer.text, answer.thinking, answer.cost) == ("Queues hold [p1].", "Hm.", 2.0)
    assert [(host.url, bool(host.error)) for host in listed.hosts] == [(ollama, True), (stub.url, False)]
    assert refused.value.kind == "unsupported"
