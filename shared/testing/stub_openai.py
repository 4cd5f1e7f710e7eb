"""A model server that answers like an OpenAI-compatible one, counts what it is asked and needs no model: for tests.

    async with StubOpenAI.listening(latency_s=0.2) as stub:
        start_the_mesh(WARREN_OPENAI_URLS=stub.url, WARREN_MODEL=f"openai/{stub.model}")

It says what the Ollama stub says (`stub_answers.answer_to`), and like a real server it holds a schema's shape, stops at
`max_tokens`, sends usage after the last word when asked for it, and refuses with a status. Standard library only.
"""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from shared.testing.stub_answers import answer_to, words_of
from shared.testing.stub_ollama import Call

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


@dataclass
class StubOpenAI:
    """`latency_s` to the first word, `token_s` between words. `key`: what a client has to show; "" wants none."""

    model: str = "stub-8b"
    key: str = ""
    latency_s: float = 0.0
    token_s: float = 0.0
    words: list[str] | None = None
    """What is said, a word a token, instead of an answer to the prompt."""
    thinking: tuple[str, ...] = ()
    """Said before, as `reasoning_content`."""
    breaks_off: bool = False
    """The stream ends in the middle, without a finish reason."""
    refusing: tuple[int, dict[str, Any]] | None = None
    """A status and an error with which chats and embeddings are answered."""
    retry_after: str = ""
    can: tuple[str, ...] = ()
    """`tools` and `vision`: without, it refuses as llama-server does."""
    tool_calls: tuple[dict[str, Any], ...] = ()
    """What a chat with tools asks for, after its words: `{"name": "look_up", "arguments": {...}}`; `arguments` may be a
    text, sent as it is. `id` where the server gives one."""
    unknown: tuple[str, ...] = ()
    """Parameters that a chat is refused for."""
    calls: list[Call] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    """What each request showed, chats or not."""
    url: str = ""

    @classmethod
    @contextlib.asynccontextmanager
    async def listening(cls, *, host: str = "127.0.0.1", port: int = 0, **settings: Any) -> AsyncIterator["StubOpenAI"]:
        """Listens on `port` (0: a free one) of `host` until the block ends; open calls are cut then."""
        stub = cls(**settings)
        tasks: set[asyncio.Task[None]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if task := asyncio.current_task():
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await stub._serve(reader, writer)

        server = await asyncio.start_server(serve, host, port, limit=16 * 1024 * 1024)
        stub.url = f"http://{host}:{server.sockets[0].getsockname()[1]}"
        try:
            yield stub
        finally:
            server.close()
            for task in list(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def open(self) -> int:
        """Calls that wait for their answer now."""
        return sum(call.ended is None for call in self.calls)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                path = head.split(" ", 2)[1].partition("?")[0]
                length = re.search(r"^content-length:\s*(\d+)", head, re.I | re.M)
                body = json.loads(await reader.readexactly(int(length[1]))) if length and int(length[1]) else {}
                await self._answer(path, head, body, (reader, writer))
                await writer.drain()
        finally:
            writer.close()

    async def _answer(
        self, path: str, head: str, body: dict[str, Any], client: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    ) -> None:
        _, writer = client
        shown = re.search(r"^authorization: bearer (\S*)", head, re.I | re.M)
        self.keys.append(shown[1] if shown else "")
        if self.key and f"authorization: bearer {self.key}" not in head.lower():
            self._reply(writer, 401, {"message": "Incorrect API key provided", "code": "invalid_api_key"})
        elif path == "/v1/models":
            self._reply(writer, 200, {"object": "list", "data": [{"id": self.model, "object": "model", "created": 0}]})
        elif path not in ("/v1/chat/completions", "/v1/embeddings"):
            self._reply(writer, 404, {"message": "File Not Found", "code": 404})
        elif self.refusing:
            self._reply(writer, *self.refusing)
        elif body.get("model") != self.model:
            what = f"The model `{body.get('model')}` does not exist"
            self._reply(writer, 404, {"message": what, "code": "model_not_found"})
        elif unknown := next((name for name in self.unknown if name in body), None):
            what = f"Unsupported parameter: '{unknown}' is not supported with this model."
            self._reply(writer, 400, {"message": what, "param": unknown, "code": "unsupported_parameter"})
        elif why := self._cannot(body):
            self._reply(writer, 500, {"code": 500, "message": why, "type": "server_error"})
        elif path == "/v1/embeddings":
            data = [{"index": n, "embedding": [float(len(text)), 1.0]} for n, text in enumerate(body["input"])]
            self._reply(writer, 200, {"object": "list", "data": data[::-1], "model": self.model, "usage": _usage(1, 0)})
        else:
            await self._chat(body, *client)

    def _cannot(self, body: dict[str, Any]) -> str:
        """In the words of llama-server b11669."""
        parts = [message.get("content") for message in body.get("messages", ())]
        if any(isinstance(part, list) for part in parts) and "vision" not in self.can:
            return "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"
        if body.get("tools") and "tools" not in self.can:
            return "tools param requires --jinja flag"
        return ""

    def _reply(self, writer: asyncio.StreamWriter, status: int, content: dict[str, Any]) -> None:
        text = json.dumps(content if status == 200 else {"error": content}).encode()
        wait = f"Retry-After: {self.retry_after}\r\n" if self.retry_after and status in (429, 503) else ""
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n{wait}"
        writer.write(f"{head}Connection: close\r\n\r\n".encode() + text)

    async def _chat(self, body: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        prompt = "\n".join(str(message.get("content", "")) for message in body.get("messages", ()))
        call = Call("", "", time.time(), tokens_in=len(prompt.split()))
        self.calls.append(call)
        self.bodies.append(body)
        gone = asyncio.create_task(reader.read())  # a client that still waits says nothing more
        try:
            await asyncio.wait([gone], timeout=self.latency_s)
            writer.write(STREAM)
            for thought in self.thinking:
                writer.write(self._event({"reasoning_content": thought}))
            finish = await self._say(body, prompt, call, writer, gone)
            if finish and not gone.done():
                writer.write(self._event({}, finish=finish))
                if (body.get("stream_options") or {}).get("include_usage"):
                    writer.write(self._event(None, usage=_usage(call.tokens_in, call.tokens_out)))
                writer.write(b"data: [DONE]\n\n")
                await writer.drain()
                call.finished = True
        finally:
            call.ended = time.time()
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)

    async def _say(
        self, body: dict[str, Any], prompt: str, call: Call, writer: asyncio.StreamWriter, gone: "asyncio.Task[bytes]"
    ) -> str:
        """How it ended: `stop`, `length`, or "" when it broke off."""
        schema = ((body.get("response_format") or {}).get("json_schema") or {}).get("schema")
        words = self.words if self.words is not None else words_of(answer_to(prompt, schema))
        limit = body.get("max_tokens") or body.get("max_completion_tokens") or len(words)
        for word in words[:limit]:
            if gone.done():
                return ""
            writer.write(self._event({"content": word}))
            await writer.drain()
            call.tokens_out += 1
            if self.token_s:
                await asyncio.wait([gone], timeout=self.token_s)
        calls = self.tool_calls if body.get("tools") else ()
        for delta in in_parts(calls):
            writer.write(self._event({"tool_calls": [delta]}))
        if self.breaks_off:
            return ""
        return "length" if len(words) > limit else "tool_calls" if calls else "stop"

    def _event(self, delta: dict[str, Any] | None, *, finish: str | None = None, usage: Any = None) -> bytes:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
        event = {"id": "stub", "object": "chat.completion.chunk", "created": 0, "model": self.model}
        return b"data: " + json.dumps({**event, "choices": choices, "usage": usage}).encode() + b"\n\n"


def in_parts(calls: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
    """Tool calls as a stream has them: the name with empty arguments, then these, a few characters at a time."""
    parts: list[dict[str, Any]] = []
    for index, call in enumerate(calls):
        named = {"id": call["id"]} if "id" in call else {}
        parts.append({"index": index, "type": "function", "function": {"name": call["name"], "arguments": ""}, **named})
        text = call["arguments"] if isinstance(call["arguments"], str) else json.dumps(call["arguments"])
        parts += [{"index": index, "function": {"arguments": text[at : at + 5]}} for at in range(0, len(text), 5)]
    return parts


def _usage(tokens_in: int, tokens_out: int) -> dict[str, int]:
    return {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}
