"""Messages, tools and tool calls as Ollama's native API has them. Pure."""

import base64
import json
from collections.abc import Sequence
from typing import Any

from services.inference.plain_schema import Schema, plain
from shared.contracts.chat import ChatMessage, Tool, ToolCall

KEPT = {"type", "items", "description", "enum"}
"""What the client library sends of a property; the rest is told in its description."""


def messages_of(messages: Sequence[ChatMessage]) -> list[dict[str, Any]]:
    """As a chat has them. Ollama tells results of tools apart by the tool's name."""
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    return [_message(message, names) for message in messages]


def _message(message: ChatMessage, names: dict[str, str]) -> dict[str, Any]:
    said: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.images:  # as bytes: of a text the client library would look whether it is a file of this machine
        said["images"] = [base64.b64decode(image) for image in message.images]
    if message.tool_calls:
        calls = ({"name": call.name, "arguments": call.arguments} for call in message.tool_calls)
        said["tool_calls"] = [{"function": call} for call in calls]
    if message.tool_call_id:
        said["tool_name"] = names[message.tool_call_id]
    return said


def tools_of(tools: Sequence[Tool]) -> list[dict[str, Any]] | None:
    """None where there are none: servers refuse an empty list for a model that has no use for tools."""
    return [{"type": "function", "function": _function(tool)} for tool in tools] or None


def _function(tool: Tool) -> dict[str, Any]:
    shape = plain(tool.parameters, described=True)
    properties = {name: _flat(each) for name, each in shape.get("properties", {}).items()}
    parameters = {"type": "object", "properties": properties, "required": shape.get("required", [])}
    return {"name": tool.name, "description": tool.description, "parameters": parameters}


def _flat(schema: Schema) -> Schema:
    kept = {name: value for name, value in schema.items() if name in KEPT}
    lost = {name: value for name, value in schema.items() if name not in KEPT}
    if lost:
        kept["description"] = f"{schema.get('description', '')} JSON schema: {json.dumps(lost)}".strip()
    return kept


def calls_in(parts: Sequence[Any], *, said: int) -> tuple[ToolCall, ...]:
    """Whole calls, as a part of the stream has them. They have no ids: each is numbered after the `said` before it."""
    return tuple(
        ToolCall(id=f"call_{said + number}", name=part.function.name, arguments=dict(part.function.arguments))
        for number, part in enumerate(parts)
    )
