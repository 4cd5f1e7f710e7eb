"""Engines that are no servers, and tools, asked over a real broker: as whoever makes a goal's calls meets them."""

import asyncio
from pathlib import Path
from uuid import uuid4

from shared.contracts.chat import Tool, ToolCall
from shared.contracts.generation import Generate, Generated
from shared.runtime.client import Client
from shared.testing import fake_llamacli
from shared.testing.stub_ollama import StubOllama
from tests.integration.test_inference_service import DEADLINE_S, inference
from tests.unit.inference.requests import generate

LOOK = Tool(name="look_up")


async def answers(amqp_url: str, *requests: Generate) -> list[Generated]:
    async with Client.connect(amqp_url) as client, asyncio.timeout(DEADLINE_S):
        return [await client.ask(request, Generated, deadline_s=DEADLINE_S) for request in requests]


def asked(question: str, **changes: object) -> Generate:
    return generate(question, goal_id=str(uuid4()), purpose="chat", **changes)


async def test_calls_are_recorded_and_replayed_without_a_model(amqp_url: str, tmp_path: Path) -> None:
    path = str(tmp_path / "calls.jsonl")
    call = {"name": "look_up", "arguments": {"city": "Oslo"}}
    async with StubOllama.listening(words=["Let us see."], can=("completion", "tools"), tool_calls=(call,)) as stub:
        model = f"ollama/{stub.model}"
        with inference(tmp_path, amqp_url, WARREN_OLLAMA_URLS=stub.url, WARREN_MODEL=model, WARREN_RECORD=path):
            (first,) = await answers(amqp_url, asked("How is Oslo?", tools=(LOOK,)))
            stub.can = ("completion",)
            (refused,) = await answers(amqp_url, asked("How is Rome?", tools=(LOOK,), engine=model))
    assert (first.finish, first.engine) == ("stop", model)
    assert first.tool_calls == (ToolCall(id="call_0", name="look_up", arguments={"city": "Oslo"}),)
    assert (refused.finish, refused.error_kind) == ("failed", "unsupported")
    with inference(tmp_path, amqp_url, WARREN_OLLAMA_URLS="", WARREN_MODEL="replay", WARREN_REPLAY=path):
        again, unknown = await answers(amqp_url, asked("How is Oslo?", tools=(LOOK,)), asked("How is Oslo?"))
    assert (again.engine, again.text, again.tool_calls) == ("replay", first.text, first.tool_calls)
    assert (unknown.finish, unknown.error_kind) == ("failed", "missing")
    assert "the nearest is line 1, which differs in tools" in (unknown.error or "")


async def test_a_program_of_the_command_line_answers_like_any_engine(amqp_url: str, tmp_path: Path) -> None:
    program, _ = fake_llamacli.write(tmp_path, words=["Yes, ", "it ", "does."])
    settings = {"WARREN_LLAMACLI": str(program), "WARREN_LLAMACLI_FOLDER": str(tmp_path), "WARREN_OLLAMA_URLS": ""}
    with inference(tmp_path, amqp_url, **settings):
        named, other = (asked("Does it?", engine=f"llamacli/{name}") for name in ("fake-1b", "../fake-1b.gguf"))
        answer, missing = await answers(amqp_url, named, other)
    assert (answer.finish, answer.text, answer.engine) == ("stop", "Yes, it does.", "llamacli/fake-1b.gguf")
    assert (answer.provider, answer.usage.tokens_out) == ("llamacli", 3)
    assert (missing.finish, "does not have ../fake-1b.gguf" in (missing.error or "")) == ("failed", True)
