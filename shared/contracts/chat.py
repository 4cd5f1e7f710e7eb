"""What is said to a model and by it: messages, pictures, and functions that it may ask to have called.
Part of `Generate` and `Generated`."""

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator

from shared.contracts.message import Value

MOST_IMAGES = 4
IMAGE_CHARACTERS = 700_000
"""Base64 of all pictures of a request, together about 512 KiB: a message has at most a megabyte."""
_KINDS = {"iVBORw0KGgo": "image/png", "/9j/": "image/jpeg", "R0lGOD": "image/gif", "UklGR": "image/webp"}
"""How the base64 of each begins."""


def image_type(image: str) -> str | None:
    """`image/png`, `image/jpeg`, `image/gif`, `image/webp` by its first bytes; None for anything else."""
    return next((kind for begins, kind in _KINDS.items() if image.startswith(begins)), None)


def _picture(value: str) -> str:
    try:
        base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError(f"an image is base64, without a prefix or line breaks: {error}") from error
    if image_type(value) is None:
        raise ValueError("an image is a PNG, JPEG, GIF or WebP")
    return value


Image = Annotated[str, Field(max_length=IMAGE_CHARACTERS), AfterValidator(_picture)]


def _nothing() -> dict[str, JsonValue]:
    return {"type": "object", "properties": {}}


class Tool(Value):
    """A function that the model may ask to have called; whoever sent the request calls it. `parameters`: JSON schema of
    an object."""

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")
    description: str = Field(default="", max_length=4000)
    parameters: dict[str, JsonValue] = Field(default_factory=_nothing)


class ToolCall(Value):
    """What the model asks for. `arguments` are not validated against the tool's schema, and the name may be one that
    nobody offered: small models do that."""

    id: str
    name: str
    arguments: dict[str, JsonValue] = Field(default_factory=dict)


class ChatMessage(Value):
    """`images`: base64, from the user. `tool_calls`: what the assistant asked for, as `Generated` had it. A `tool`
    message brings the result of one of them, which `tool_call_id` names."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    images: tuple[Image, ...] = Field(default=(), max_length=MOST_IMAGES, exclude_if=lambda images: not images)
    tool_calls: tuple[ToolCall, ...] = Field(default=(), exclude_if=lambda calls: not calls)
    tool_call_id: str | None = Field(default=None, exclude_if=lambda name: name is None)

    @model_validator(mode="after")
    def _fits_its_role(self) -> Self:
        if self.images and self.role != "user":
            raise ValueError("images come from the user")
        if self.tool_calls and self.role != "assistant":
            raise ValueError("tool_calls come from the assistant")
        if (self.role == "tool") != bool(self.tool_call_id):
            raise ValueError("a tool's message names its tool_call_id, and no other does")
        return self


def check_conversation(messages: Sequence[ChatMessage], tools: Sequence[Tool]) -> None:
    """Raises ValueError: a result of a call that nobody asked for, two tools of one name, pictures beyond the bound."""
    asked: set[str] = set()
    for message in messages:
        if message.tool_call_id and message.tool_call_id not in asked:
            raise ValueError(f"no earlier message has the tool call {message.tool_call_id!r}")
        asked |= {call.id for call in message.tool_calls}
    if len({tool.name for tool in tools}) < len(tools):
        raise ValueError("two tools have one name")
    images = [image for message in messages for image in message.images]
    if len(images) > MOST_IMAGES or sum(map(len, images)) > IMAGE_CHARACTERS:
        raise ValueError(f"at most {MOST_IMAGES} images, together at most {IMAGE_CHARACTERS:,} characters of base64")


def calls_so_far(messages: Sequence[ChatMessage]) -> int:
    """How many tool calls a conversation has: where a server gives them no ids, they are numbered."""
    return sum(len(message.tool_calls) for message in messages)
