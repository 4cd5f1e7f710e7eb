"""A stub of Ollama's native HTTP API: what the client sees, with faults on demand. Streams NDJSON over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Piece = str | float
"""Text to stream, or seconds of silence."""


@dataclass
class StubOllama:
    """`models`: name -> (parameter size, capabilities). `pieces`: what a chat streams; `then`: how it ends."""

    models: dict[str, tuple[str, tuple[str, ...]]] = field(
        default_factory=lambda: {"gemma3:4b": ("4.3B", ("completion",))}
    )
    loaded: tuple[str, ...] = ()
    pieces: list[Piece] = field(default_factory=lambda: ["Queues ", "hold ", "messages [p1]."])
    then: str = "stop"
    status: int = 200
    error: str = ""
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    elsewhere: dict[str, str] = field(default_factory=dict)
    """What it says more about its models: `{"remote_host": "https://ollama.com"}` for those of the cloud."""
    cut_off: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client went away in the middle of a stream."""
    url: str = ""

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator["StubOllama"]:
        server = await asyncio.start_server(self._on_connection, "127.0.0.1", port)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = next((int(x.split(":")[1]) for x in head.splitlines() if x.startswith("content-length")), 0)
            body = json.loads(await reader.readexactly(length)) if length else {}
            path = head.split(" ")[1]
            self.requests.append((path, body))
            await self._answer(path, body, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.cut_off.set()
        finally:
            writer.close()

    async def _answer(self, path: str, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        if path == "/api/tags":
            listed = [{"model": n, "details": {"parameter_size": size}} for n, (size, _) in self.models.items()]
            self._json(writer, {"models": listed})
        elif path == "/api/ps":
            self._json(writer, {"models": [{"model": name} for name in self.loaded]})
        elif path == "/api/show":
            capabilities = list(self.models[body["model"]][1])
            self._json(writer, {"capabilities": capabilities, "model_info": {}, **self.elsewhere})
        elif self.status != 200:
            self._json(writer, {"error": self.error}, status=self.status)
        elif path == "/api/embed":
            self._json(writer, {"embeddings": [[float(len(text)), 1.0] for text in body["input"]]})
        else:
            await self._stream(body["model"], writer)
        await writer.drain()

    def _json(self, writer: asyncio.StreamWriter, value: Any, *, status: int = 200) -> None:
        text = json.dumps(value).encode()
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n"
        head += "connection: close\r\n\r\n"
        writer.write(head.encode() + text)

    async def _stream(self, model: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\nconnection: close\r\n\r\n")
        for piece in self.pieces:
            if isinstance(piece, float):
                await writer.drain()
                await asyncio.sleep(piece)
                continue
            self._line(writer, {"model": model, "message": {"role": "assistant", "content": piece}, "done": False})
            await writer.drain()
            await asyncio.sleep(0)  # a real server would not outrun its client either
        if self.then == "error":
            self._line(writer, {"error": "model runner has unexpectedly stopped"})
        elif self.then != "nothing":
            done = {"done": True, "done_reason": self.then, "prompt_eval_count": 20, "eval_count": 3}
            self._line(writer, {"model": model, "message": {"role": "assistant", "content": ""}, **done})

    def _line(self, writer: asyncio.StreamWriter, value: Any) -> None:
        if writer.is_closing():
            raise ConnectionError("client gone")
        writer.write(json.dumps(value).encode() + b"\n")
