"""Messages, tools and tool calls as the OpenAI protocol has them. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from services.inference.generation import EngineFailed
from services.inference.plain_schema import plain
from shared.contracts.chat import ChatMessage, Tool, ToolCall, image_type


def messages_of(messages: Sequence[ChatMessage]) -> list[dict[str, Any]]:
    """As the body of a chat has them."""
    return [_message(message) for message in messages]


def _message(message: ChatMessage) -> dict[str, Any]:
    said: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.images:
        seen = ({"url": f"data:{image_type(image)};base64,{image}"} for image in message.images)
        text = [{"type": "text", "text": message.content}]
        said["content"] = [*text, *({"type": "image_url", "image_url": url} for url in seen)]
    if message.tool_calls:
        said["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id:
        said["tool_call_id"] = message.tool_call_id
    return said


def tools_of(tools: Sequence[Tool]) -> list[dict[str, Any]]:
    """Only what servers are known to make a grammar of goes along, as with the schema of an answer."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": plain(tool.parameters, described=True),
            },
        }
        for tool in tools
    ]


@dataclass
class _Begun:
    """A call of which parts have come."""

    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


@dataclass
class CallsInParts:
    """Tool calls as a stream brings them: by index, the name first, the arguments a few characters at a time. `said`:
    how many tool calls the conversation has already, for servers that give no ids."""

    said: int = 0
    _begun: dict[int, _Begun] = field(default_factory=dict)

    def add(self, deltas: Sequence[Any]) -> str:
        """Takes what a part of the stream has; returns its characters."""
        text = ""
        for delta in deltas:
            call = self._begun.setdefault(delta.index or 0, _Begun())
            call.id = delta.id or call.id
            if delta.function is not None:
                call.name = delta.function.name or call.name
                call.arguments.append(delta.function.arguments or "")
                text += (delta.function.name or "") + (delta.function.arguments or "")
        return text

    def whole(self, *, cut: bool, who: str) -> tuple[ToolCall, ...]:
        """In the order of their indexes. `cut`: the answer ended at its limit, so what is incomplete is left out.
        Raises EngineFailed where arguments are not a JSON object."""
        found = []
        for number, (_, begun) in enumerate(sorted(self._begun.items())):
            try:
                arguments = json.loads("".join(begun.arguments) or "{}")
            except ValueError:
                arguments = None
            if isinstance(arguments, dict) and begun.name:
                name = begun.id or f"call_{self.said + number}"
                found.append(ToolCall(id=name, name=begun.name, arguments=arguments))
            elif not cut:
                why = f"{who} called {begun.name or 'a tool without a name'} with arguments that are no JSON object"
                raise EngineFailed("broken", f"{why}: ask again, or take a larger model")
        return tuple(found)
