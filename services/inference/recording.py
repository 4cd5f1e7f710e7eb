"""Calls of models kept in a file, and answered from it again: for tests of whoever asks, without a model.

`WARREN_RECORD=calls.jsonl` adds a line for each answer that a model server gave: what was asked of the model, and what
it answered. No address, no key and no goal is in it; what people wrote into their prompts is.
`WARREN_REPLAY=calls.jsonl` with the engine `replay` answers from such a file.
"""

import asyncio
import dataclasses
import difflib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from services.inference.generation import EngineFailed
from services.inference.upstream import Answer, Count, Progress
from shared.contracts.chat import ToolCall
from shared.contracts.generation import Generate

log = structlog.get_logger()
ASKED = {"messages", "max_tokens", "temperature", "seed", "output_schema", "tools"}
"""What the model is asked, apart from who asks, when and how urgently."""
MOST_COMPARED = 500
COMPARED_CHARACTERS = 4000
"""Of the end of a prompt, where requests differ most; more would take seconds."""


@dataclass(frozen=True)
class Recorder:
    """Appends to a file that only its owner may read."""

    path: Path

    async def note(self, request: Generate, engine: str, answer: Answer) -> None:
        """Never raises: the call is paid for, whether there is room for its record or not."""
        said = {**dataclasses.asdict(answer), "tool_calls": [call.model_dump() for call in answer.tool_calls]}
        line = json.dumps({"engine": engine, "asked": _asked(request), "answer": said}, ensure_ascii=False)
        try:
            await asyncio.to_thread(self._append, line)
        except OSError as error:
            log.warning("not_recorded", file=str(self.path), reason=str(error))

    def _append(self, line: str) -> None:
        """In one write, so that lines of several replicas do not mix."""
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, line.encode() + b"\n")
        finally:
            os.close(file)


@dataclass
class Replay:
    """Answers as recorded; of several to one request one after another, then the last again. A process that starts anew
    begins with the first. The file is read once."""

    path: Path | None
    _answers: dict[str, list[tuple[int, dict[str, Any]]]] | None = None
    _asked: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    _given: dict[str, int] = field(default_factory=dict)

    async def chat(self, request: Generate, on_token: Progress) -> Answer:
        """Raises EngineFailed, kind `missing`, for what was not recorded: it shows what comes nearest."""
        if self._answers is None:
            self._answers = await asyncio.to_thread(self._read)
        asked = _asked(request)
        key = _key(asked)
        found = self._answers.get(key)
        if not found:
            raise EngineFailed("missing", await asyncio.to_thread(self._unknown, asked))
        turn = self._given.get(key, 0)
        self._given[key] = turn + 1
        _, said = found[min(turn, len(found) - 1)]
        answer = Answer(**{**said, "tool_calls": tuple(map(ToolCall.model_validate, said["tool_calls"]))})
        for count, word in enumerate(answer.text.split(" "), start=1):
            on_token(Count.of(count, word if count == 1 else f" {word}"))
        return answer

    def _read(self) -> dict[str, list[tuple[int, dict[str, Any]]]]:
        if self.path is None:
            raise EngineFailed("missing", "there is nothing to replay: WARREN_REPLAY names the file of recorded calls")
        answers: dict[str, list[tuple[int, dict[str, Any]]]] = {}
        number = 0
        try:
            for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), start=1):
                call = json.loads(line)
                self._asked.append((number, call["asked"]))
                answers.setdefault(_key(call["asked"]), []).append((number, call["answer"]))
        except OSError as error:
            raise EngineFailed("missing", f"WARREN_REPLAY {self.path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise EngineFailed("broken", f"WARREN_REPLAY {self.path}: line {number} is no recorded call") from error
        return answers

    def _unknown(self, asked: dict[str, Any]) -> str:
        """What was asked, and of what was recorded the nearest, with where they differ."""
        wanted = _text(asked)
        matcher = difflib.SequenceMatcher(autojunk=False)
        matcher.set_seq2(wanted[-COMPARED_CHARACTERS:])

        def likeness(entry: tuple[int, dict[str, Any]]) -> float:
            matcher.set_seq1(_text(entry[1])[-COMPARED_CHARACTERS:])
            return matcher.quick_ratio()

        nearest = max(self._asked[-MOST_COMPARED:], key=likeness, default=None)
        if nearest is None:
            return f"{self.path} has no recorded call: record one with WARREN_RECORD"
        line, known = nearest
        differ = [name for name in sorted(ASKED) if known.get(name) != asked.get(name)]
        at = next((n for n, (a, b) in enumerate(zip(_text(known), wanted, strict=False)) if a != b), 0)
        start = max(0, at - 40)
        parts = [text[start : start + 120] for text in (_text(known), wanted)]
        return (
            f"{self.path} has no answer to this request; the nearest is line {line}, which differs in "
            f"{', '.join(differ)}: recorded ...{parts[0]!r}, asked ...{parts[1]!r}: record it again"
        )


def _asked(request: Generate) -> dict[str, Any]:
    asked: dict[str, Any] = json.loads(request.model_dump_json(include=ASKED))
    return asked


def _key(asked: dict[str, Any]) -> str:
    return json.dumps({name: asked.get(name) for name in ASKED}, sort_keys=True)


def _text(asked: dict[str, Any]) -> str:
    return "\n".join(str(message["content"]) for message in asked["messages"])
