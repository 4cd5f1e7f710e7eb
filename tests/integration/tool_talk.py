"""What any model server must do with tools and pictures: the stubs, a real llama-server and a real Ollama alike.

The real model has learned nothing of tools: it repeats the pattern of the turns before, within the grammar of a
call where the server has one. That is enough to see one come over the wire.
"""

from pathlib import Path

import pytest

from services.inference.anthropic_client import AnthropicHost
from services.inference.generation import EngineFailed
from services.inference.ollama_client import OllamaHost
from services.inference.openai_client import OpenAIHost
from shared.contracts.chat import ChatMessage, Tool, ToolCall
from tests.unit.inference.requests import generate

TEMPLATES = Path(__file__).with_name("templates")
"""Chat templates that know of tools: the models' file has none."""
CITIES = ["Paris", "Rome", "Oslo"]
CITY = {"type": "object", "properties": {"city": {"enum": CITIES}}, "required": ["city"]}
WEATHER = Tool(name="get_weather", description="The weather of a city", parameters={**CITY})
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
Host = OllamaHost | OpenAIHost | AnthropicHost


def _turn(name: str, city: str) -> list[ChatMessage]:
    call = ToolCall(id=name, name=WEATHER.name, arguments={"city": city})
    return [
        ChatMessage(role="user", content=f"weather in {city}?"),
        ChatMessage(role="assistant", content="", tool_calls=(call,)),
        ChatMessage(role="tool", content="sunny", tool_call_id=name),
    ]


async def calls_a_tool(host: Host, model: str) -> None:
    """Two calls and their results are in the history; the third is asked for."""
    now = ChatMessage(role="user", content="weather in Paris?")
    messages = (*_turn("call_0", "Rome"), *_turn("call_1", "Oslo"), now)
    request = generate(purpose="chat", max_tokens=40, messages=messages, tools=(WEATHER,))
    answer = await host.chat(model, request, lambda _: None)
    assert [call.name for call in answer.tool_calls] == [WEATHER.name]
    assert answer.tool_calls[0].arguments["city"] in CITIES
    assert answer.tool_calls[0].id not in ("", "call_0", "call_1")


async def says_that_it_cannot_see(host: Host, model: str) -> None:
    message = ChatMessage(role="user", content="What is it?", images=(PICTURE,))
    with pytest.raises(EngineFailed, match="WARREN_MODEL") as failed:
        await host.chat(model, generate(messages=(message,), max_tokens=5), lambda _: None)
    assert failed.value.kind == "unsupported"


async def says_that_it_has_no_use_for_tools(host: Host, model: str) -> None:
    with pytest.raises(EngineFailed, match="WARREN_MODEL") as failed:
        await host.chat(model, generate(tools=(WEATHER,), max_tokens=5), lambda _: None)
    assert failed.value.kind == "unsupported"
