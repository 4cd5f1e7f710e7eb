"""Messages, tools and the shape of an answer as Anthropic's messages API has them. Pure."""

from collections.abc import Sequence
from typing import Any

from services.inference.plain_schema import plain
from shared.contracts.chat import ChatMessage, Tool, image_type


def system_of(messages: Sequence[ChatMessage]) -> str:
    """The protocol has one place for it, before the conversation."""
    return "\n\n".join(message.content for message in messages if message.role == "system" and message.content)


def messages_of(messages: Sequence[ChatMessage]) -> list[dict[str, Any]]:
    """Turns of the user and the assistant. Results of tools are said by the user, all of one turn in one message: the
    API refuses a call whose result is not in the next one."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "system" or not (blocks := _blocks(message)):
            continue
        role = "assistant" if message.role == "assistant" else "user"
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    return turns


def _blocks(message: ChatMessage) -> list[dict[str, Any]]:
    """An empty text is refused, so it is no block."""
    if message.tool_call_id:
        return [{"type": "tool_result", "tool_use_id": message.tool_call_id, "content": message.content}]
    seen = [
        {"type": "image", "source": {"type": "base64", "media_type": image_type(image), "data": image}}
        for image in message.images
    ]
    said = [{"type": "text", "text": message.content}] if message.content.strip() else []
    called = [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments} for call in message.tool_calls
    ]
    return [*seen, *said, *called]


def tools_of(tools: Sequence[Tool]) -> list[dict[str, Any]]:
    return [
        {
            "name": tool.name,
            "description": tool.description,
            "input_schema": {"type": "object", **plain(tool.parameters, described=True)},
        }
        for tool in tools
    ]


def closed(schema: Any) -> Any:
    """The API holds a shape only where each object says that it has no other fields."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: closed(each) for name, each in schema.items()}
    if isinstance(schema.get("properties"), dict):
        found["additionalProperties"] = False
    return found
