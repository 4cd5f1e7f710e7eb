"""A model server that answers like Ollama, counts what it is asked and needs no model: for tests of what a call costs.

    async with StubOllama.listening(latency_s=0.2) as stub:
        start_the_mesh(WARREN_OLLAMA_URLS=stub.url, WARREN_MODEL=f"ollama/{stub.model}")
        ...
        assert all(call.finished for call in stub.calls)

It copies a sentence from each of the first passages of the prompt, `[id]` at its end, so that whoever checks citations
has something to check; for a schema with `steps` it answers a plan of one step. Standard library only.
"""

import asyncio
import contextlib
import hashlib
import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from shared.testing.stub_answers import answer_to, words_of

NAMING = ("/api/show", "/api/generate", "/api/delete")
"""Requests about a model that has to be here."""


@dataclass
class Call:
    """One chat that a client asked for. Times in seconds since the epoch; `ended` is None while it is open.

    `hash`: of model, messages and format, so the same request has the same. `mark`: what the stub's `mark` found in
    the prompt. `finished`: the client was still there when the last word was written.
    """

    hash: str
    mark: str
    began: float
    tokens_in: int
    ended: float | None = None
    tokens_out: int = 0
    finished: bool = False


@dataclass
class StubOllama:
    """`latency_s` to the first word, `token_s` between words; both may be changed at any time."""

    model: str = "stub"
    latency_s: float = 0.0
    token_s: float = 0.0
    mark: "re.Pattern[str] | None" = None
    calls: list[Call] = field(default_factory=list)
    url: str = ""
    library: tuple[str, ...] = ()
    """Models that may be pulled, in three parts of a megabyte each."""
    more: set[str] = field(default_factory=set)
    """Models that are here besides `model`."""
    created: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What models were made of: the request by the model's name."""
    unloaded: set[str] = field(default_factory=set)
    """Of those that are here, what takes no memory now."""
    pull_goes_on: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared by a test: a pull stops after its first part until it is set."""
    words: list[str] | None = None
    """What is said, a word a token, instead of an answer to the prompt."""
    can: tuple[str, ...] = ("completion",)
    """What its models can do, as Ollama names it: `tools` and `vision`, too."""
    tool_calls: tuple[dict[str, Any], ...] = ()
    """What a chat with tools asks for, after its words: `{"name": "look_up", "arguments": {...}}`."""
    paths: set[str] = field(default_factory=set)
    """What it has been asked for, chats or not."""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    """What chats asked for, the last 256."""
    load_s: float = 0.0
    """How long a chat with an unloaded model takes to load it."""
    room: int | None = None
    """Models that fit into its memory: loading another unloads the one that was loaded first. None: all."""
    loads: list[str] = field(default_factory=list)
    """Models that chats had loaded, in their order."""
    refusing: tuple[int, str] | None = None
    """A status and an error with which chats and loads are answered: `(503, "server busy, ...")`."""

    def __post_init__(self) -> None:
        self.pull_goes_on.set()

    @classmethod
    @contextlib.asynccontextmanager
    async def listening(cls, *, host: str = "127.0.0.1", port: int = 0, **settings: Any) -> AsyncIterator["StubOllama"]:
        """Listens on a port of `host`, a free one if none is named, until the block ends; open calls are cut then."""
        stub = cls(**settings)
        tasks: set[asyncio.Task[None]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if task := asyncio.current_task():
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            try:
                await stub._serve(reader, writer)
            finally:
                writer.close()

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
        return sum(call.ended is None for call in self.calls[-256:])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a connection: `Connection: close` ends the answer, which may be a stream."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            path = head.split(" ", 2)[1].partition("?")[0]
            self.paths.add(path)
            length = re.search(r"^content-length:\s*(\d+)", head, re.I | re.M)
            body = json.loads(await reader.readexactly(int(length[1]))) if length and int(length[1]) else {}
            if self.refusing and path in ("/api/chat", "/api/generate"):
                _answer(writer, {"error": self.refusing[1]}, status=self.refusing[0])
            elif path == "/api/chat" and (refused := self._cannot(body)):
                _answer(writer, {"error": refused[1]}, status=refused[0])
            elif path == "/api/chat":
                await self._chat(body, reader, writer)
            elif path == "/api/pull":
                await self._pull(str(body.get("model")), writer)
            elif path == "/api/create":
                await self._create(body, writer)
            elif path == "/api/copy":
                self._copy(body, writer)
            elif path in NAMING and _tagged(str(body.get("model"))) not in self._here():
                _answer(writer, {"error": f"model '{body.get('model')}' not found"}, status=404)
            else:
                _answer(writer, self._other(path, body))
            await writer.drain()
        writer.close()

    def _here(self) -> dict[str, str]:
        """What is on the disk: its name with a tag -> the name it goes by."""
        return {_tagged(name): name for name in ([self.model] if self.model else []) + sorted(self.more)}

    def _cannot(self, body: dict[str, Any]) -> tuple[int, str] | None:
        """As seen with Ollama 0.17.4."""
        if body.get("tools") and "tools" not in self.can:
            return 400, f"registry.ollama.ai/library/{body.get('model')} does not support tools"
        if any(message.get("images") for message in body.get("messages", ())) and "vision" not in self.can:
            why = "failed to process inputs: this model is missing data required for image input"
            return 500, f"Failed to create new sequence: {why}"
        return None

    async def _pull(self, model: str, writer: asyncio.StreamWriter) -> None:
        """A stream of its own, errors included: its status is 200 by the time that anything can go wrong."""

        async def line(**content: Any) -> None:
            writer.write(json.dumps(content).encode() + b"\n")
            await writer.drain()

        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n")
        await line(status="pulling manifest")
        if model not in self.library:
            await line(error="pull model manifest: file does not exist")
            return
        for part in (1, 2, 3):
            await line(status="pulling 0123456789ab", digest="sha256:0", total=3_000_000, completed=part * 1_000_000)
            await self.pull_goes_on.wait()
        self.more.add(model)
        self.unloaded.add(model)
        await line(status="success")

    def _copy(self, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        source, to = str(body.get("source")), str(body.get("destination"))
        if _tagged(source) not in self._here():
            _answer(writer, {"error": f'model "{source}" not found'}, status=404)
        else:
            self.more.add(_tagged(to))
            self.unloaded.add(_tagged(to))
            _answer(writer, {})

    async def _create(self, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        name = _tagged(str(body.get("model")))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n")
        for status in ("using existing layer sha256:0", "writing manifest", "success"):
            writer.write(json.dumps({"status": status}).encode() + b"\n")
        self.created[name] = body
        self.more.add(name)
        self.unloaded.add(name)

    def _shown(self, model: str) -> dict[str, Any]:
        """As Ollama has it: settings a line each, and a template that knows of tools makes a model that does."""
        made = self.created.get(_tagged(model), {})
        settings = "\n".join(f"{name:<30} {json.dumps(value)}" for name, value in made.get("parameters", {}).items())
        template = str(made.get("template", ""))
        can = [*self.can, *(["tools"] if ".Tools" in template and "tools" not in self.can else [])]
        return {"model_info": {}, "capabilities": can, "parameters": settings, "template": template}

    def _change(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Loads, unloads or deletes a model that is here."""
        model = self._here()[_tagged(str(body["model"]))]
        if path == "/api/delete":
            self.more.discard(model)
            self.model = "" if model == self.model else self.model
            return {}
        gone = body.get("keep_alive") == 0
        (self.unloaded.add if gone else self.unloaded.discard)(model)
        return {"model": body["model"], "response": "", "done": True, "done_reason": "unload" if gone else "load"}

    def _other(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        if path in ("/api/generate", "/api/delete"):
            return self._change(path, body)
        details = {"family": "stub", "parameter_size": "8.0B", "quantization_level": "none", "format": "none"}
        held = {"size": 1, "digest": "0" * 12, "details": details}
        listed = [{"name": name, "model": name, **held} for name in self._here().values()]
        loaded = [model for model in listed if model["name"] not in self.unloaded]
        known: dict[str, dict[str, Any]] = {
            "/api/version": {"version": "0.0.0-stub"},
            "/api/tags": {"models": listed},
            "/api/ps": {"models": loaded},
            "/api/show": {"details": details, **self._shown(str(body.get("model")))},
        }
        return known.get(path)

    async def _chat(self, body: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        prompt = "\n".join(str(message.get("content", "")) for message in body.get("messages", ()))
        marked = self.mark.search(prompt) if self.mark else None
        call = Call(_hash(body), marked[0] if marked else "", time.time(), tokens_in=len(prompt.split()))
        self.calls.append(call)
        self.bodies = [*self.bodies[-255:], body]
        # A client that still waits says nothing more: the first thing to read is its end.
        gone = asyncio.create_task(reader.read())
        try:
            words = self.words if self.words is not None else words_of(answer_to(prompt, body.get("format")))
            limit = (body.get("options") or {}).get("num_predict") or len(words)
            await asyncio.wait([gone], timeout=self.latency_s + self._load(str(body.get("model"))))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n")
            for word in words[:limit]:
                if gone.done():
                    return
                writer.write(self._line(content=word))
                await writer.drain()
                call.tokens_out += 1
                if self.token_s:
                    await asyncio.wait([gone], timeout=self.token_s)
            if body.get("tools") and self.tool_calls:  # whole, and all at once
                calls = [{"function": {"index": n, **each}} for n, each in enumerate(self.tool_calls)]
                writer.write(self._line(content="", calls=calls))
            counts = {"prompt_eval_count": call.tokens_in, "eval_count": call.tokens_out}
            reason = "length" if len(words) > limit else "stop"
            writer.write(self._line(content="", done=True, done_reason=reason, **counts))
            await writer.drain()
            call.finished = not gone.done()
        finally:
            call.ended = time.time()
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)

    def _load(self, model: str) -> float:
        """Seconds that it takes."""
        name = self._here().get(_tagged(model), model)
        if name not in self.unloaded:
            return 0.0
        self.unloaded.discard(name)
        loaded = [each for each in self.loads if each not in self.unloaded and each != name]
        if self.room is not None:
            self.unloaded |= set(loaded[: max(0, len(set(loaded)) + 1 - self.room)])
        self.loads.append(name)
        return self.load_s

    def _line(self, *, content: str, done: bool = False, calls: Any = None, **more: Any) -> bytes:
        message = {"role": "assistant", "content": content, **({"tool_calls": calls} if calls else {})}
        line = {"model": self.model, "created_at": "2026-01-01T00:00:00Z", "message": message, "done": done, **more}
        return json.dumps(line).encode() + b"\n"


def _hash(body: dict[str, Any]) -> str:
    asked = [body.get("model"), body.get("messages"), body.get("format")]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _tagged(name: str) -> str:
    return name if ":" in name else f"{name}:latest"


def _answer(writer: asyncio.StreamWriter, content: dict[str, Any] | None, *, status: int = 200) -> None:
    status = status if content is not None else 404
    body = json.dumps(content if content is not None else {"error": "not found"}).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)
