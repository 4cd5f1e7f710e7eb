"""A model server that answers like Anthropic's messages API, counts what it is asked and needs no model: for tests.

    async with StubAnthropic.listening(latency_s=0.2) as stub:
        start_the_mesh(WARREN_ANTHROPIC_URL=stub.url, WARREN_ANTHROPIC_API_KEY="k", WARREN_MODEL="anthropic/stub-8b")

It says what the other stubs say (`stub_answers.answer_to`), as the documented events of a stream. Standard library
only.
"""

import asyncio
import json
import re
import time
from dataclasses import dataclass
from typing import Any

from shared.testing.stub_answers import answer_to, words_of
from shared.testing.stub_ollama import Call
from shared.testing.stub_openai import STREAM, StubOpenAI

KINDS = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error", 529: "overloaded_error"}


@dataclass
class StubAnthropic(StubOpenAI):
    """The fields are those of `StubOpenAI`; `thinking` comes as a block of its own. `stop_reason`: with which an answer
    ends, instead of its own. `fails_late`: the type of an error in the middle of the stream."""

    stop_reason: str = ""
    fails_late: str = ""

    async def _answer(
        self, path: str, head: str, body: dict[str, Any], client: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    ) -> None:
        _, writer = client
        shown = re.search(r"^(?:x-api-key:|authorization: bearer) (\S*)", head, re.I | re.M)
        self.keys.append(shown[1] if shown else "")
        if self.key and self.keys[-1] != self.key:
            self._fail(writer, 401, "invalid x-api-key")
        elif path == "/v1/models":
            created = {"type": "model", "display_name": self.model, "created_at": "2026-01-01T00:00:00Z"}
            listed = {"data": [{"id": self.model, **created}], "has_more": False, "first_id": None, "last_id": None}
            self._reply(writer, 200, listed)
        elif path != "/v1/messages":
            self._fail(writer, 404, "Not found")
        elif self.refusing:
            self._fail(writer, self.refusing[0], str(self.refusing[1].get("message")), self.refusing[1].get("type"))
        elif body.get("model") != self.model:
            self._fail(writer, 404, f"model: {body.get('model')}")
        elif unknown := next((name for name in self.unknown if name in body), None):
            self._fail(writer, 400, f"{unknown}: Extra inputs are not permitted")
        elif '"type": "image"' in json.dumps(body) and "vision" not in self.can:
            self._fail(writer, 400, "this model does not support image input")
        else:
            await self._chat(body, *client)

    def _fail(self, writer: asyncio.StreamWriter, status: int, said: str, kind: str | None = None) -> None:
        error = {"type": kind or KINDS.get(status, "api_error"), "message": said}
        text = json.dumps({"type": "error", "error": error}).encode()
        wait = f"Retry-After: {self.retry_after}\r\n" if self.retry_after else ""
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n{wait}"
        writer.write(f"{head}Connection: close\r\n\r\n".encode() + text)

    async def _chat(self, body: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        prompt = "\n".join(_text(message["content"]) for message in body["messages"])
        call = Call("", "", time.time(), tokens_in=len(prompt.split()))
        self.calls.append(call)
        self.bodies.append(body)
        gone = asyncio.create_task(reader.read())  # a client that still waits says nothing more
        try:
            await asyncio.wait([gone], timeout=self.latency_s)
            usage = {"input_tokens": call.tokens_in, "output_tokens": 1}
            start = {"id": "msg_1", "type": "message", "role": "assistant", "model": self.model, "content": []}
            writer.write(STREAM + _event("message_start", message={**start, "stop_reason": None, "usage": usage}))
            writer.write(_event("ping"))
            if finish := await self._say(body, prompt, call, writer, gone):
                told = {"stop_reason": self.stop_reason or finish, "stop_sequence": None}
                writer.write(_event("message_delta", delta=told, usage={"output_tokens": call.tokens_out}))
                writer.write(_event("message_stop"))
                await writer.drain()
                call.finished = True
        finally:
            call.ended = time.time()
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)

    async def _say(
        self, body: dict[str, Any], prompt: str, call: Call, writer: asyncio.StreamWriter, gone: "asyncio.Task[bytes]"
    ) -> str:
        """The reason for its end, or "" when it broke off."""
        schema = ((body.get("output_config") or {}).get("format") or {}).get("schema")
        words = self.words if self.words is not None else words_of(answer_to(prompt, schema))
        if self.thinking:
            deltas = [{"type": "thinking_delta", "thinking": thought} for thought in self.thinking]
            writer.write(_block(0, {"type": "thinking", "thinking": "", "signature": ""}, deltas))
        writer.write(_event("content_block_start", index=1, content_block={"type": "text", "text": ""}))
        for word in words[: body["max_tokens"]]:
            if gone.done():
                return ""
            writer.write(_event("content_block_delta", index=1, delta={"type": "text_delta", "text": word}))
            await writer.drain()
            call.tokens_out += 1
            if self.token_s:
                await asyncio.wait([gone], timeout=self.token_s)
        writer.write(_event("content_block_stop", index=1))
        calls = self.tool_calls if body.get("tools") else ()
        for number, tool in enumerate(calls):
            named = {"type": "tool_use", "id": tool.get("id", f"toolu_{number}"), "name": tool["name"], "input": {}}
            text = tool["arguments"] if isinstance(tool["arguments"], str) else json.dumps(tool["arguments"])
            parts = [text[at : at + 5] for at in range(0, len(text), 5)]
            deltas = [{"type": "input_json_delta", "partial_json": part} for part in parts]
            writer.write(_block(2 + number, named, deltas))
        if self.fails_late:
            writer.write(_event("error", error={"type": self.fails_late, "message": "Overloaded"}))
        if self.breaks_off or self.fails_late:
            return ""
        return "max_tokens" if len(words) > body["max_tokens"] else "tool_use" if calls else "end_turn"


def _block(index: int, block: dict[str, Any], deltas: list[dict[str, Any]]) -> bytes:
    said = b"".join(_event("content_block_delta", index=index, delta=delta) for delta in deltas)
    begin = _event("content_block_start", index=index, content_block=block)
    return begin + said + _event("content_block_stop", index=index)


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(str(block.get("text", "")) for block in content if isinstance(block, dict))
