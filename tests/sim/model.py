"""The model server of the simulated world: it bills every call that is begun, and takes its time."""

import asyncio
import functools
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from services.inference import extractive
from services.inference.generation import call_id
from services.inference.upstream import Answer
from shared.contracts.generation import Generate, Inputs
from tests.sim.library import QUESTIONS
from tests.sim.loop import PROCESS, SimLoop, point


@dataclass
class Model:
    """`begun`: calls by their key; `cut`: how often one was in flight when its inference process died."""

    loop: SimLoop
    begun: Counter[str] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)
    goals: dict[str, str] = field(default_factory=dict)
    _open: dict[str, set[str]] = field(default_factory=dict)

    async def chat(self, request: Generate, on_token: Callable[[int], None]) -> Answer:
        call, random = call_id(request.call), self.loop.random
        self.begun[call] += 1
        self.goals[call] = request.call.goal_id
        self._open.setdefault(PROCESS.get().name, set()).add(call)
        await point("model_call_begun")
        seconds = 0.05 + random.random() ** 3 * 6.0
        await asyncio.sleep(seconds)
        on_token(5)
        await point("model_call_done")
        return Answer(_text_for(request), "stop", 10, 5, seconds / 2, seconds)

    def crashed(self, process: str, done: set[str]) -> None:
        """An inference process died: what it had in flight, its result not committed, may be paid once more."""
        self.cut.update(self._open.pop(process, set()) - done)


def _text_for(request: Generate) -> str:
    """Sentences that the sources support, as a good model would choose them: the built-in engine's."""
    if request.call.purpose == "plan":
        return json.dumps({"steps": [{"id": f"s{n}", "question": question} for n, question in enumerate(QUESTIONS)]})
    return _quoted(request.inputs)


@functools.lru_cache(maxsize=500)
def _quoted(inputs: Inputs) -> str:
    return extractive.answer(inputs)
