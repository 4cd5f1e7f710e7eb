"""The client of Anthropic's messages API against a stub of it, over real sockets."""

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from services.inference.anthropic_client import AnthropicHost
from services.inference.generation import EngineFailed, Host, Model, choose_engine
from shared.contracts.chat import ChatMessage, Tool, ToolCall
from shared.testing.stub_anthropic import StubAnthropic
from tests.unit.inference.requests import generate

WORDS = ["Queues ", "hold ", "messages [p1]."]


@pytest.fixture
async def stub() -> AsyncIterator[StubAnthropic]:
    async with StubAnthropic.listening(words=WORDS, key="k") as server:
        assert isinstance(server, StubAnthropic)
        yield server


@pytest.fixture
async def host(stub: StubAnthropic) -> AsyncIterator[AnthropicHost]:
    client = AnthropicHost(stub.url, "k", between_tokens=timedelta(seconds=0.3), first_token=timedelta(seconds=60))
    yield client
    await client.close()


async def failure(host: AnthropicHost, model: str = "stub-8b") -> EngineFailed:
    with pytest.raises(EngineFailed) as failed:
        await host.chat(model, generate(), lambda _: None)
    return failed.value


async def test_a_chat_is_streamed_and_counted(stub: StubAnthropic, host: AnthropicHost) -> None:
    stub.thinking = ("Let me ", "see.")
    counted: list[int] = []
    answer = await host.chat("stub-8b", generate(max_tokens=99), counted.append)
    assert (answer.text, answer.thinking, answer.finish) == ("Queues hold messages [p1].", "Let me see.", "stop")
    assert (answer.tokens_in, answer.tokens_out, counted) == (stub.calls[0].tokens_in, 3, [1, 2, 3, 4, 5])
    assert stub.bodies[-1]["max_tokens"] == 99


@pytest.mark.parametrize("reason", ["max_tokens", "pause_turn", "model_context_window_exceeded"])
async def test_what_is_cut_is_no_success(stub: StubAnthropic, host: AnthropicHost, reason: str) -> None:
    stub.stop_reason = reason
    assert (await host.chat("stub-8b", generate(), lambda _: None)).finish == "length"


async def test_a_refusal_is_a_typed_failure(stub: StubAnthropic, host: AnthropicHost) -> None:
    stub.stop_reason = "refusal"
    assert "refused to answer" in (await failure(host)).reason


async def test_tools_and_their_results_go_along(stub: StubAnthropic, host: AnthropicHost) -> None:
    stub.tool_calls = ({"id": "t9", "name": "look_up", "arguments": {"word": "queue"}}, {"name": "b", "arguments": {}})
    messages = (
        ChatMessage(role="system", content="Be brief."),
        ChatMessage(role="user", content="Look it up."),
        ChatMessage(role="assistant", content="", tool_calls=(ToolCall(id="t1", name="look_up"),)),
        ChatMessage(role="tool", content="found", tool_call_id="t1"),
        ChatMessage(role="user", content="And now?"),
    )
    request = generate(messages=messages, tools=(Tool(name="look_up"),))
    answer = await host.chat("stub-8b", request, lambda _: None)
    assert [(call.id, call.name, call.arguments) for call in answer.tool_calls] == [
        ("t9", "look_up", {"word": "queue"}),
        ("toolu_1", "b", {}),
    ]
    body = stub.bodies[-1]
    assert (body["system"], [turn["role"] for turn in body["messages"]]) == ("Be brief.", ["user", "assistant", "user"])
    assert [block["type"] for block in body["messages"][2]["content"]] == ["tool_result", "text"]


async def test_a_shape_that_is_not_taken_is_left_out(stub: StubAnthropic, host: AnthropicHost) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    await host.chat("stub-8b", generate(output_schema=schema), lambda _: None)
    assert stub.bodies[0]["output_config"]["format"]["schema"] == {**schema, "additionalProperties": False}
    stub.unknown = ("output_config",)
    for _ in range(2):
        assert (await host.chat("stub-8b", generate(output_schema=schema), lambda _: None)).finish == "stop"
    assert ["output_config" in body for body in stub.bodies] == [True, False, False]


async def test_a_stream_that_repeats_itself_is_cut(stub: StubAnthropic, host: AnthropicHost) -> None:
    stub.words, stub.token_s = ["The broker ", "keeps ", "the message. "] * 10_000, 0.001
    answer = await host.chat("stub-8b", generate(max_tokens=8000), lambda _: None)
    assert (answer.finish, answer.text.count("keeps")) == ("length", 1)


async def test_silence_ends_the_call_and_a_break_is_a_failure(stub: StubAnthropic, host: AnthropicHost) -> None:
    stub.breaks_off = True
    assert (await failure(host)).kind == "broken"
    stub.token_s = 30.0
    assert (await failure(host)).kind == "silent"


async def test_cancelling_closes_the_stream_within_a_second(stub: StubAnthropic, host: AnthropicHost) -> None:
    stub.words, stub.token_s = [f"word{n} " for n in range(3000)], 0.05
    started = asyncio.Event()
    call = asyncio.create_task(host.chat("stub-8b", generate(max_tokens=3000), lambda _: started.set()))
    async with asyncio.timeout(10):
        await started.wait()
    call.cancel()
    async with asyncio.timeout(1):
        await asyncio.gather(call, return_exceptions=True)
        while stub.open:
            await host.probe()
    assert not stub.calls[0].finished


@pytest.mark.parametrize(
    ("status", "kind", "said", "trouble", "advice"),
    [
        (429, "rate_limit_error", "Rate limit", "busy", "try again in 7 s"),
        (529, "overloaded_error", "Overloaded", "busy", "overloaded_error"),
        (401, "authentication_error", "invalid x-api-key", "denied", "WARREN_ANTHROPIC_API_KEY"),
        (400, "invalid_request_error", "prompt is too long: 9 > 8", "too_long", "fewer passages"),
        (400, "invalid_request_error", "Your credit balance is too low", "denied", "nothing left"),
        (404, "not_found_error", "model: x", "missing", "does not have stub-8b"),
        (500, "api_error", "boom", "broken", "boom"),
    ],
)
async def test_each_refusal_says_what_to_do(
    stub: StubAnthropic, host: AnthropicHost, *, status: int, kind: str, said: str, trouble: str, advice: str
) -> None:
    stub.refusing, stub.retry_after = (status, {"message": said, "type": kind}), "7"
    error = await failure(host)
    assert error.kind == trouble
    assert advice in error.reason


async def test_overload_in_the_middle_of_a_stream_is_busy(stub: StubAnthropic, host: AnthropicHost) -> None:
    stub.fails_late = "overloaded_error"
    assert (await failure(host)).kind == "busy"


async def test_nothing_restricted_is_sent(stub: StubAnthropic, host: AnthropicHost) -> None:
    with pytest.raises(EngineFailed) as failed:
        await host.chat("stub-8b", generate(sensitivity="restricted"), lambda _: None)
    assert (failed.value.kind, stub.keys) == ("restricted", [])


async def test_auto_takes_none_of_it_unasked(host: AnthropicHost) -> None:
    seen = await host.probe()
    assert seen == Host(host.url, (Model("stub-8b", loaded=True, unasked=False),), provider="anthropic")
    assert choose_engine("auto", configured="", hosts=[seen]).provider == "extractive"
    assert choose_engine("anthropic/stub-8b", configured="", hosts=[seen]).engine == "anthropic/stub-8b"


async def test_without_the_package_it_says_how_to_install_it(
    host: AnthropicHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "anthropic", None)
    assert 'pip install "warren[anthropic]"' in ((await host.probe()).error or "")
    error = await failure(host)
    assert (error.kind, "infra/setup --anthropic" in error.reason) == ("unsupported", True)
