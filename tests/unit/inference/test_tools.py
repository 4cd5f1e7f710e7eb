"""Tools and pictures: the same of both kinds of servers, asked by the real clients over real sockets."""

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import ValidationError

from services.inference.generation import EngineFailed, request_hash
from services.inference.ollama_client import OllamaHost
from services.inference.openai_client import OpenAIHost
from services.inference.upstream import IMAGE_TOKENS, prompt_tokens
from shared.contracts.chat import ChatMessage, Tool, ToolCall
from shared.testing.stub_ollama import StubOllama
from shared.testing.stub_openai import StubOpenAI
from tests.unit.inference.requests import generate

PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WHERE = {"type": "object", "properties": {"lat": {"type": "number"}}, "description": "A place"}
LOOK = Tool(
    name="look_up",
    description="The weather of a city",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string", "description": "Its name", "pattern": "^(?=x)"}, "where": WHERE},
        "required": ["city"],
    },
)
ASKED = ToolCall(id="call_0", name="look_up", arguments={"city": "Paris"})


@dataclass
class Server:
    host: OllamaHost | OpenAIHost
    stub: StubOllama | StubOpenAI

    @property
    def model(self) -> str:
        return self.stub.model


@pytest.fixture(params=["ollama", "openai"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    if request.param == "ollama":
        async with StubOllama.listening(words=["Let us ", "see. "], can=("completion", "tools", "vision")) as stub:
            yield Server(host := OllamaHost(stub.url), stub)
            await host.close()
    else:
        async with StubOpenAI.listening(words=["Let us ", "see. "], can=("tools", "vision")) as other:
            yield Server(client := OpenAIHost(other.url), other)
            await client.close()


def conversation() -> tuple[ChatMessage, ...]:
    return (
        ChatMessage(role="user", content="How is Paris?"),
        ChatMessage(role="assistant", content="", tool_calls=(ASKED,)),
        ChatMessage(role="tool", content="sunny", tool_call_id="call_0"),
    )


async def failure(server: Server, **changes: Any) -> EngineFailed:
    with pytest.raises(EngineFailed) as failed:
        await server.host.chat(server.model, generate(**changes), lambda _: None)
    return failed.value


async def test_what_the_model_asks_for_is_had_whole_with_what_it_said(server: Server) -> None:
    server.stub.tool_calls = ({"name": "look_up", "arguments": {"city": "Paris"}}, {"name": "stop", "arguments": {}})
    counted: list[int] = []
    answer = await server.host.chat(server.model, generate(tools=(LOOK,)), counted.append)
    assert (answer.text, answer.finish) == ("Let us see. ", "stop")
    assert answer.tool_calls == (ASKED, ToolCall(id="call_1", name="stop", arguments={}))
    assert counted == list(range(1, len(counted) + 1))
    assert len(counted) >= 3  # a call that is being written is a sign of life


async def test_the_servers_own_id_of_a_call_is_kept() -> None:
    asked = {"id": "abc", "name": "look_up", "arguments": {}}
    async with StubOpenAI.listening(words=[], can=("tools",), tool_calls=(asked,)) as stub:
        host = OpenAIHost(stub.url)
        answer = await host.chat(stub.model, generate(tools=(LOOK,)), lambda _: None)
        await host.close()
    assert [call.id for call in answer.tool_calls] == ["abc"]


async def test_results_go_back_with_the_calls_they_belong_to_and_new_calls_are_numbered_on(server: Server) -> None:
    server.stub.tool_calls = ({"name": "look_up", "arguments": {"city": "Rome"}},)
    answer = await server.host.chat(server.model, generate(messages=conversation(), tools=(LOOK,)), lambda _: None)
    assert [call.id for call in answer.tool_calls] == ["call_1"]
    _, asked, told = server.stub.bodies[-1]["messages"]
    if isinstance(server.stub, StubOllama):
        assert asked["tool_calls"] == [{"function": {"name": "look_up", "arguments": {"city": "Paris"}}}]
        assert (told["tool_name"], told["content"]) == ("look_up", "sunny")
    else:
        function = {"name": "look_up", "arguments": '{"city": "Paris"}'}
        assert asked["tool_calls"] == [{"id": "call_0", "type": "function", "function": function}]
        assert (told["tool_call_id"], told["content"]) == ("call_0", "sunny")


async def test_a_tool_is_described_without_what_ends_a_server(server: Server) -> None:
    await server.host.chat(server.model, generate(tools=(LOOK,)), lambda _: None)
    function = server.stub.bodies[-1]["tools"][0]["function"]
    assert (function["name"], function["description"]) == ("look_up", "The weather of a city")
    assert function["parameters"]["properties"]["city"] == {"type": "string", "description": "Its name"}
    assert function["parameters"]["required"] == ["city"]
    assert "lat" in str(function["parameters"]["properties"]["where"])  # Ollama's library sends only the flat part


async def test_pictures_go_along(server: Server) -> None:
    message = ChatMessage(role="user", content="What is it?", images=(PICTURE,))
    await server.host.chat(server.model, generate(messages=(message,)), lambda _: None)
    sent = server.stub.bodies[-1]["messages"][0]
    if isinstance(server.stub, StubOllama):
        assert sent["images"] == [PICTURE]
    else:
        assert sent["content"][0] == {"type": "text", "text": "What is it?"}
        assert sent["content"][1]["image_url"]["url"] == f"data:image/png;base64,{PICTURE}"


@pytest.mark.parametrize("what", ["tools", "vision"])
async def test_a_model_that_cannot_is_said_before_anything_is_paid(server: Server, what: str) -> None:
    server.stub.can = ("completion",)
    message = ChatMessage(role="user", content="What is it?", images=(PICTURE,) if what == "vision" else ())
    error = await failure(server, messages=(message,), tools=(LOOK,) if what == "tools" else ())
    assert (error.kind, "WARREN_MODEL" in error.reason) == ("unsupported", True)
    assert server.stub.calls == []


@pytest.mark.parametrize("what", ["tools", "vision"])
async def test_ollamas_own_refusal_is_the_same(what: str) -> None:
    """A model may have been replaced since it was looked at."""
    async with StubOllama.listening(can=("completion", "tools", "vision")) as stub:
        server = Server(OllamaHost(stub.url), stub)
        message = ChatMessage(role="user", content="What is it?", images=(PICTURE,))
        await server.host.chat(stub.model, generate(messages=(message,), tools=(LOOK,)), lambda _: None)
        stub.can = ("completion",)
        error = await failure(server, messages=(message,), tools=(LOOK,) if what == "tools" else ())
        await server.host.close()
    assert error.kind == "unsupported"


async def test_arguments_that_are_no_object_are_a_typed_failure_and_left_out_where_the_answer_was_cut() -> None:
    asked = {"name": "look_up", "arguments": '{"city": "Par'}
    async with StubOpenAI.listening(words=["a ", "b "], can=("tools",), tool_calls=(asked,)) as stub:
        server = Server(OpenAIHost(stub.url), stub)
        error = await failure(server, tools=(LOOK,))
        cut = await server.host.chat(stub.model, generate(tools=(LOOK,), max_tokens=1), lambda _: None)
        await server.host.close()
    assert (error.kind, "no JSON object" in error.reason) == ("broken", True)
    assert (cut.finish, cut.tool_calls) == ("length", ())


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"messages": (conversation()[0], conversation()[2])}, "no earlier message has"),
        ({"tools": (LOOK, LOOK)}, "two tools have one name"),
        ({"messages": [ChatMessage(role="user", content="", images=(PICTURE,) * 3)] * 2}, "at most 4 images"),
        ({"messages": [{"role": "tool", "content": "sunny"}]}, "names its tool_call_id"),
        ({"messages": [{"role": "assistant", "content": "", "images": [PICTURE]}]}, "come from the user"),
        ({"messages": [{"role": "user", "content": "", "images": ["data:image/png;base64,AA"]}]}, "base64"),
        ({"messages": [{"role": "user", "content": "", "images": [base64.b64encode(b"GIF9 no").decode()]}]}, "a PNG"),
        ({"messages": [{"role": "user", "content": "", "images": ["/etc/passwd"]}]}, "base64"),
        ({"tools": [{"name": "rm -rf"}]}, "pattern"),
    ],
)
def test_what_is_no_conversation_is_refused(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        generate(**fields)


def test_pictures_and_tools_count_and_requests_without_are_what_they_were() -> None:
    """The hash is the ledger's: what was paid for before there were tools is found."""
    plain = generate()
    with_picture = generate(messages=(ChatMessage(role="user", content=plain.messages[0].content, images=(PICTURE,)),))
    assert prompt_tokens(with_picture) == prompt_tokens(plain) + IMAGE_TOKENS
    assert prompt_tokens(generate(tools=(LOOK,))) > prompt_tokens(plain) + 50
    assert len({request_hash(each) for each in (plain, with_picture, generate(tools=(LOOK,)))}) == 3
    assert not {"tools", "images", "tool_call_id"} & set(plain.model_dump_json().replace('"', " ").split())
