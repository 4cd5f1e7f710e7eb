"""The stub model server, asked by the real client: a plan, cited sentences, and calls counted with how they ended."""

import asyncio
import contextlib
import json
import re

import pytest

from services.inference.generation import EngineFailed
from services.inference.ollama_client import OllamaHost
from shared.contracts.generation import CallKey, ChatMessage, Generate, Inputs
from shared.testing.stub_ollama import StubOllama

PASSAGES = """Passages:

[p1] Lamps - Harbour
The north lamp burns whale oil and is lit at dusk by the keeper. It is old.

[p2] Boats
Pilot boats leave the harbour one hour before high water.

Question: Which lamp burns oil? (no. 7)

Answer in at most 8 sentences:"""


def asked(text: str, **more: object) -> Generate:
    call = CallKey(goal_id="g", step="s1", purpose="research")
    messages = (ChatMessage(role="user", content=text),)
    return Generate.model_validate({"call": call, "messages": messages, "inputs": Inputs(question="?"), **more})


async def test_the_client_finds_the_model_and_gets_cited_sentences() -> None:
    async with StubOllama.listening(mark=re.compile(r"no\. \d+")) as stub:
        host = OllamaHost(stub.url)
        seen = await host.probe()
        assert [(model.name, model.chats) for model in seen.models] == [("stub", True)]
        answer = await host.chat("stub", asked(PASSAGES), lambda _: None)
        assert answer.finish == "stop"
        assert answer.text == (
            "The north lamp burns whale oil and is lit at dusk by the keeper [p1]. "
            "Pilot boats leave the harbour one hour before high water [p2]."
        )
        await host.chat("stub", asked(PASSAGES), lambda _: None)
        await host.close()
    assert [(call.mark, call.finished) for call in stub.calls] == [("no. 7", True)] * 2
    assert stub.calls[0].hash == stub.calls[1].hash


async def test_a_schema_with_steps_gets_a_plan() -> None:
    async with StubOllama.listening() as stub:
        host = OllamaHost(stub.url)
        schema = {"type": "object", "properties": {"steps": {"type": "array"}}}
        answer = await host.chat("stub", asked("Goal: Why do lamps burn?", output_schema=schema), lambda _: None)
        await host.close()
    assert json.loads(answer.text)["steps"][0]["question"] == "Why do lamps burn?"


async def test_a_call_whose_client_goes_away_is_counted_as_not_finished() -> None:
    async with StubOllama.listening(latency_s=30) as stub:
        host = OllamaHost(stub.url)
        call = asyncio.create_task(host.chat("stub", asked(PASSAGES), lambda _: None))
        async with asyncio.timeout(10):
            while not stub.open:
                await asyncio.wait([call], timeout=0.01)
            call.cancel()
            with pytest.raises((asyncio.CancelledError, EngineFailed)):
                await call
            await host.close()
            while stub.open:  # the stub's own task has to hear of it
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.Event().wait(), 0.01)
    assert [call.finished for call in stub.calls] == [False]
