"""llama.cpp's program for the command line (`llama-completion`), one process a call: for one question now and then,
with no server to look after. It loads the model each time, so whoever asks often wants llama-server.

The program is started without a shell; what was asked goes to it in files, never among its options. Models are GGUF
files of one folder. A program whose service was killed ends by itself, at the limit of its tokens.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import json
import os
import re
import shutil
import signal
import tempfile
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from services.inference.generation import EngineFailed, Host, Model
from services.inference.openai_models import size_in
from services.inference.plain_schema import plain
from services.inference.upstream import Answer, Patience, Piece, Progress, check_budget, read_answer
from shared.contracts.generation import Generate
from shared.contracts.sensitivity import USUAL, Sensitivity

URL = "llamacli"
"""Its lane: calls on the command line share slots as those of a host do."""
MOST_MODELS = 200
MOST_CHARACTERS = 1_000_000
"""Of one answer; a program that writes more is ended."""
TAIL_BYTES = 8192
"""Of what the program says about itself: its counts and its last error are at the end."""
MARKS = ("[end of text]", "> EOF by user")
"""What the program adds to an answer that came to its end."""
HELD_BACK = 64
"""Characters at the end of what came so far: a mark, and line breaks after it."""
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")
"""Of the environment: no password of ours, no option of llama.cpp's."""
_READ = re.compile(r"prompt eval time.*?/\s*(\d+) tokens")
_WRITTEN = re.compile(r"[ :]eval time.*?/\s*(\d+) runs")


@dataclass
class LlamaCli:
    """`program`: its path, or a name to be found on PATH. `folder`: of the GGUF files, with its subfolders."""

    program: str
    folder: Path
    num_ctx: int = 8192
    first_token: timedelta = timedelta(seconds=300)
    between_tokens: timedelta = timedelta(seconds=60)
    url: str = URL
    local: bool = True

    async def probe(self) -> Host:
        """What is in the folder now. Never raises: an error is part of the answer."""
        if shutil.which(self.program) is None:
            why = f"there is no program {self.program}: install llama.cpp, or name its program in WARREN_LLAMACLI"
            return Host(self.url, error=why, provider="llamacli")
        if not self.folder.is_dir():
            why = f"there is no folder {self.folder}: name the one with your GGUF files in WARREN_LLAMACLI_FOLDER"
            return Host(self.url, error=why, provider="llamacli")
        names = await asyncio.to_thread(self._names)
        # Never taken by `auto`: it would load a model at each call of a goal.
        models = tuple(Model(name, parameters=size_in(name), unasked=False) for name in names)
        return Host(self.url, models, provider="llamacli")

    def _names(self) -> list[str]:
        """Of a model in several files the first; no projectors of pictures."""
        found = (path.relative_to(self.folder).as_posix() for path in sorted(self.folder.rglob("*.gguf")))
        part = re.compile(r"-(?!00001)\d{5}-of-\d{5}\.gguf$|mmproj")
        return [name for name in found if not part.search(name)][:MOST_MODELS]

    def _file(self, model: str) -> Path:
        """The file of a model. Raises EngineFailed for what is not a GGUF file of the folder, links included."""
        folder = self.folder.resolve()
        path = (folder / model).resolve()
        with contextlib.suppress(OSError):
            if path.is_relative_to(folder) and path.suffix == ".gguf" and path.is_file():
                with path.open("rb") as file:
                    if file.read(4) == b"GGUF":
                        return path
        raise EngineFailed("missing", f"{model} is no GGUF file in {self.folder}: put it there, or name another")

    async def chat(self, model: str, request: Generate, on_token: Progress) -> Answer:
        """One call. Raises EngineFailed. Cancelling it ends the program and all that it started."""
        if request.tools or any(message.images for message in request.messages):
            why = f"{self.program} knows neither tools nor pictures: use llama-server (WARREN_OPENAI_URLS)"
            raise EngineFailed("unsupported", why)
        check_budget(request, self.num_ctx)
        file = await asyncio.to_thread(self._file, model)
        patience = Patience(self.first_token, self.between_tokens)
        who = f"{self.program} with {model}"
        return await read_answer(self._pieces(file, request), request, on_token, patience=patience, who=who)

    async def _pieces(self, file: Path, request: Generate) -> AsyncGenerator[Piece, None]:
        with tempfile.TemporaryDirectory(prefix="warren-llamacli-") as folder:
            options = self._options(file, request, Path(folder))
            try:
                child = await asyncio.create_subprocess_exec(
                    self.program,
                    *options,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                    start_new_session=True,
                )
            except OSError as error:
                why = f"{self.program} cannot be started ({error.strerror}): see WARREN_LLAMACLI"
                raise EngineFailed("missing", why) from error
            if child.stdout is None or child.stderr is None:
                raise AssertionError("the program was started with pipes")
            tail = asyncio.create_task(_tail(child.stderr))
            try:
                text = ""
                async for piece in _texts(child.stdout):
                    text += piece
                    # What may be the beginning of a mark waits for what follows it.
                    ready = text[: max(0, len(text) - HELD_BACK)]
                    text = text[len(ready) :]
                    if ready:
                        yield Piece(ready)
                code, said = await child.wait(), await tail
                if code:
                    raise _failed(self.program, code, said)
                yield _last(text, said, request)
            finally:
                await _end(child)
                tail.cancel()

    def _options(self, file: Path, request: Generate, folder: Path) -> list[str]:
        """What was asked is in files; numbers are the only part of a request among the options."""
        system = "\n\n".join(message.content for message in request.messages if message.role == "system")
        said = [message for message in request.messages if message.role != "system"]
        turns = (f"{message.role.capitalize()}: {message.content}" for message in said)
        (folder / "prompt").write_text(said[0].content if len(said) == 1 else "\n\n".join(turns), encoding="utf-8")
        options = ["-m", str(file), "-f", str(folder / "prompt"), "-n", str(request.max_tokens)]
        options += ["-c", str(self.num_ctx), "--temp", str(request.temperature), "-s", str(request.seed)]
        options += ["-cnv", "-st", "--jinja", "--simple-io", "--no-display-prompt", "--no-escape", "--perf"]
        options += ["--no-warmup", "--offline"]
        if system:
            (folder / "system").write_text(system, encoding="utf-8")
            options += ["-sysf", str(folder / "system")]
        if request.output_schema is not None:
            (folder / "schema").write_text(json.dumps(plain(request.output_schema)), encoding="utf-8")
            options += ["-jf", str(folder / "schema")]
        return options

    async def embed(self, model: str, texts: Sequence[str], _: Sensitivity = USUAL) -> list[tuple[float, ...]]:
        """Raises EngineFailed: it has no embeddings."""
        raise EngineFailed("unsupported", f"{self.program} does not embed: use Ollama or llama-server for {model}")

    async def close(self) -> None:
        """Nothing is kept open."""


async def _texts(stream: asyncio.StreamReader) -> AsyncGenerator[str, None]:
    """As it comes, in whole characters."""
    decoder, count = codecs.getincrementaldecoder("utf-8")(errors="replace"), 0
    while data := await stream.read(4096):
        text = decoder.decode(data)
        count += len(text)
        if count > MOST_CHARACTERS:
            raise EngineFailed("broken", f"the program wrote more than {MOST_CHARACTERS:,} characters and was ended")
        if text:
            yield text


async def _tail(stream: asyncio.StreamReader) -> str:
    """The end of all that it says: read to the end, since a full pipe would stop the program."""
    kept = b""
    while data := await stream.read(4096):
        kept = (kept + data)[-TAIL_BYTES:]
    return kept.decode(errors="replace")


def _last(text: str, said: str, request: Generate) -> Piece:
    """What is left of the answer, and how it ended: at its end, or at the limit of tokens."""
    mark = next((mark for mark in MARKS if text.rstrip().endswith(mark)), "")
    text = text.rstrip().removesuffix(mark).rstrip()
    counts = [int(found[1]) if (found := each.search(said)) else 0 for each in (_READ, _WRITTEN)]
    written = counts[1] if mark else counts[1] + 1 if counts[1] else 0
    cut = not mark and written >= request.max_tokens
    return Piece(text, finish="length" if cut else "stop", tokens_in=counts[0], tokens_out=written)


def _failed(program: str, code: int, said: str) -> EngineFailed:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = "; ".join(lines[-3:])[-400:] or "it said nothing"
    if code == -signal.SIGKILL or re.search(r"failed to allocate|out of memory|bad_alloc", said):
        how = "was killed" if code < 0 else f"ended with exit code {code}"
        return EngineFailed("memory", f"{program} {how}: take a smaller model, or free memory: {last}")
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return EngineFailed("broken", f"{program} ended with {how}: {last}")


async def _end(child: asyncio.subprocess.Process) -> None:
    """With all that it started: it leads a process group of its own, which may outlive it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    await child.wait()
