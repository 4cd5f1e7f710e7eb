"""The parsing children, seen from the service: each parses many files, and dies alone."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from services.memory.blocks import Document, HeadingMark, PageMark
from services.memory.passages import Cut

START_S = 30.0
"""Seconds a fresh child may take beyond a file's own time: a loaded machine imports slowly."""
HEAVY = 8_000_000
"""Bytes of a file that gets a fresh child, and leaves none behind."""
LARGE = 1_000_000
"""Bytes of an answer from which on it is decoded off the loop."""


@dataclass(frozen=True)
class Limits:
    """For one file: seconds on the clock (and of CPU), MiB of address space of the child."""

    seconds: float = 60.0
    memory_mb: int = 1024


@dataclass(frozen=True)
class Job:
    """One file to parse. `kind`: as `transfer.kind_of` says; `sha256`: of its raw bytes, checked by the child."""

    name: str
    kind: str
    sha256: str
    data: bytes


@dataclass(frozen=True)
class Parsed:
    """A file that could be read: its text and passages."""

    document: Document
    cuts: tuple[Cut, ...]


@dataclass(frozen=True)
class Unparsed:
    """A file that could not be read, and why. `passing`: another try may go better (time, memory, a crash)."""

    reason: str
    passing: bool = False
    damaged: bool = False


@dataclass
class Parsers:
    """A few children, started when there is work and gone with the `async with`. `parse` may be called concurrently,
    and waits for a free child. A child that dies or takes too long is replaced; only its file is lost."""

    children: int = 2
    limits: Limits = field(default_factory=Limits)
    _idle: "asyncio.LifoQueue[asyncio.subprocess.Process | None]" = field(init=False)
    _alive: set[asyncio.subprocess.Process] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self._idle = asyncio.LifoQueue()
        for _ in range(self.children):
            self._idle.put_nowait(None)

    async def __aenter__(self) -> "Parsers":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in list(self._alive):
            await self._end(child)

    async def parse(self, job: Job) -> Parsed | Unparsed:
        """Parse one file. Never raises for what the file does."""
        child = await self._idle.get()
        if child is not None and len(job.data) > HEAVY:  # what earlier files left in its memory is not this one's fault
            await self._end(child)
            child = None
        fresh = child is None or child.returncode is not None
        keep: asyncio.subprocess.Process | None = None
        try:
            child = await self._start() if child is None or child.returncode is not None else child
            async with asyncio.timeout(self.limits.seconds + (START_S if fresh else 0)):
                answer = await _ask(child, job)
            if answer is None:
                return Unparsed(await self._fate(child), passing=True)
            spent = len(job.data) > HEAVY or answer.get("reason", "").startswith("parser ran out")
            keep = None if spent else child
            return self._read(answer)
        except TimeoutError:
            return Unparsed(f"parsing took over {self.limits.seconds:g} s", passing=True)
        finally:
            if keep is None and child is not None:
                await self._end(child)
            self._idle.put_nowait(keep)

    def _read(self, answer: dict[str, Any]) -> Parsed | Unparsed:
        if "reason" in answer:
            exhausted = answer["reason"].startswith("parser ran out")
            reason = f"{answer['reason']} ({self.limits.memory_mb} MiB)" if exhausted else answer["reason"]
            return Unparsed(reason, passing=exhausted, damaged=answer.get("damaged", False))
        document = Document(
            title=answer["title"],
            text=answer["text"],
            headings=tuple(HeadingMark(*mark) for mark in answer["headings"]),
            pages=tuple(PageMark(*mark) for mark in answer["pages"]),
        )
        return Parsed(document, tuple(Cut(*piece) for piece in answer["cuts"]))

    async def _start(self) -> asyncio.subprocess.Process:
        limits = (str(self.limits.memory_mb), str(max(1, round(self.limits.seconds))))
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.memory.extract_child", *limits,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            env=_bare_environment(),
        )  # fmt: skip
        self._alive.add(child)
        return child

    async def _fate(self, child: asyncio.subprocess.Process) -> str:
        """Why a child that closed its end did so."""
        code = await child.wait()
        if code == -24:  # SIGXCPU
            return f"parsing took over {self.limits.seconds:g} s of CPU"
        return f"the parser crashed ({f'signal {-code}' if code < 0 else f'exit code {code}'})"

    async def _end(self, child: asyncio.subprocess.Process) -> None:
        if child.returncode is None:
            child.kill()
        await child.wait()
        self._alive.discard(child)


async def _ask(child: asyncio.subprocess.Process, job: Job) -> dict[str, Any] | None:
    """The child's answer; None when it ended without one."""
    if child.stdin is None or child.stdout is None:
        raise AssertionError("the child was started with pipes")
    head = json.dumps({"kind": job.kind, "name": job.name, "sha256": job.sha256}).encode()
    try:
        child.stdin.write(len(head).to_bytes(8, "big") + head + len(job.data).to_bytes(8, "big"))
        child.stdin.write(job.data)
        await child.stdin.drain()
        size = int.from_bytes(await child.stdout.readexactly(8), "big")
        body = await child.stdout.readexactly(size)
    except (BrokenPipeError, ConnectionResetError, asyncio.IncompleteReadError):
        return None
    decoded: dict[str, Any] = await asyncio.to_thread(json.loads, body) if size > LARGE else json.loads(body)
    return decoded


def _bare_environment() -> dict[str, str]:
    """What the child needs to import us, and nothing of our passwords."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    return kept | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
