"""The `scripted` engine, for tests of anything that asks inference: answers, latency and faults from a JSON file.

    {"latency_s": 0.1, "token_s": 0.01,
     "answers": [{"match": "quorum", "purpose": "research", "text": "Quorum queues replicate [p1].", "times": 1},
                 {"match": "weather", "text": "", "tool_calls": [{"id": "c1", "name": "look", "arguments": {}}]},
                 {"purpose": "plan", "fault": "refused"}]}

The first answer that fits (purpose, `match` within the question or the prompt, `times` not used up) is given; none
fits: the extractive one. `fault`: length, refused, busy, missing, memory, silent, broken; `exit` ends the process,
`hang` waits for ever. Every call is one more line of `<script>.calls`, so that tests count them from outside.
"""

import asyncio
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from services.inference import extractive
from services.inference.generation import EngineFailed, Trouble, tokens_guess
from services.inference.upstream import Answer, Count, Progress
from shared.contracts.chat import ToolCall
from shared.contracts.generation import Generate


@dataclass
class Script:
    """The script is read at each call: a test may change it while the service runs."""

    path: Path | None
    _used: dict[int, int] = field(default_factory=dict)

    async def chat(self, request: Generate, on_token: Progress) -> Answer:
        """Raises EngineFailed as the script says."""
        script = await asyncio.to_thread(self._read)
        await asyncio.to_thread(self._count, request)
        chosen = self._choose(script, request)
        first_s, token_s = (float(chosen.get(k, script.get(k, 0))) for k in ("latency_s", "token_s"))
        await asyncio.sleep(first_s)
        fault = chosen.get("fault")
        if fault == "exit":
            os._exit(9)
        if fault == "hang":
            await asyncio.Event().wait()
        if trouble := next((kind for kind in get_args(Trouble) if kind == fault), None):
            raise EngineFailed(trouble, f"scripted: {fault}")
        text = chosen["text"] if "text" in chosen else extractive.answer(request.inputs)
        pieces = text.split(" ")
        for count, piece in enumerate(pieces, start=1):
            on_token(Count.of(count, piece if count == 1 else f" {piece}"))
            await asyncio.sleep(token_s)
        tokens_in = tokens_guess("".join(message.content for message in request.messages))
        finish = "length" if fault == "length" else str(chosen.get("finish", "stop"))
        calls = tuple(ToolCall.model_validate(call) for call in chosen.get("tool_calls", ()))
        total_s = first_s + token_s * len(pieces)
        return Answer(text, finish, tokens_in, len(pieces), first_s, total_s, tool_calls=calls)

    def _read(self) -> dict[str, Any]:
        if self.path is None:
            return {}
        try:
            script: dict[str, Any] = json.loads(self.path.read_text())
        except (OSError, ValueError) as error:
            raise EngineFailed("missing", f"WARREN_SCRIPT {self.path}: {error}") from error
        return script

    def _count(self, request: Generate) -> None:
        if self.path is not None:
            line = {"goal_id": request.call.goal_id, "step": request.call.step, "purpose": request.call.purpose}
            with open(f"{self.path}.calls", "a") as calls:
                calls.write(json.dumps({**line, "ordinal": request.call.ordinal}) + "\n")

    def _choose(self, script: dict[str, Any], request: Generate) -> dict[str, Any]:
        said = "\n".join([request.inputs.question, *(message.content for message in request.messages)])
        for number, each in enumerate(script.get("answers", ())):
            fits = each.get("purpose", request.call.purpose) == request.call.purpose and each.get("match", "") in said
            if fits and self._used.get(number, 0) < each.get("times", float("inf")):
                self._used[number] = self._used.get(number, 0) + 1
                return dict(each)
        return {}
