"""An answer of a model as an object of one's own: constrained where the server can, always validated, asked again with
what was wrong.

    request = chat(context.step, "Which terms does the text define?\\n\\n" + text)
    answer = await structured(context.ask, request, wanted=Glossary)
    answer.value.terms

Every call has an ordinal of its own in the ledger's key, which follows from the question and the attempt: after a crash
the same calls are asked and answered from the ledger, and nothing is paid twice.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from shared.contracts.generation import CallKey, ChatMessage, Generate, Generated, Inputs
from shared.contracts.shapes import ERRORS, Part, parts_of, problems, read_as
from shared.contracts.steps import RunStep
from shared.errors import Rejected
from shared.runtime.step_run import Ask

M = TypeVar("M", bound=BaseModel)
ATTEMPTS = 3
APART = 1000
"""Ordinals between two questions of a step."""
WAIT_S = 1800.0
"""For one answer, queueing included; a step's own deadline ends it earlier."""
SHOWN = 2000
"""Characters of a wrong answer, and of what is known so far, that a model gets to see again."""


@dataclass(frozen=True)
class Attempt:
    """One call: what came back, and what was wrong with it (empty: nothing). `field`: what was asked for, "" is all."""

    answer: Generated
    errors: tuple[str, ...] = ()
    field: str = ""


@dataclass(frozen=True)
class Structured(Generic[M]):
    """The value, and every call that was made for it."""

    value: M
    attempts: tuple[Attempt, ...]


class NotStructured(Rejected):
    """No answer had the shape that was wanted; `attempts` are all that were made, with their texts and errors."""

    def __init__(self, reason: str, attempts: Sequence[Attempt]) -> None:
        super().__init__(reason)
        self.attempts = tuple(attempts)


def chat(step: RunStep, question: str, *, system: str = "", number: int = 0, max_tokens: int = 1024) -> Generate:
    """A question of a step to its goal's engine. `number`: which of the step's questions this is, 0, 1, 2, ...: the
    same number again is answered as the first time."""
    messages = [ChatMessage(role="system", content=system)] if system else []
    key = {"goal_id": step.goal_id, "run": step.run, "step": step.step, "epoch": step.epoch}
    return Generate(
        call=CallKey(**key, purpose="chat", ordinal=number * APART),
        engine=step.engine,
        messages=(*messages, ChatMessage(role="user", content=question)),
        inputs=Inputs(question=question),
        max_tokens=max_tokens,
        priority=step.priority,
        deadline_at=step.deadline_at,
        sensitivity=step.sensitivity,
    )


async def structured(ask: Ask, request: Generate, *, wanted: type[M], attempts: int = ATTEMPTS) -> Structured[M]:
    """`ask`: a step's (`context.ask`) or a client's. Asks at most `attempts` times for the whole, or for each field of
    a shape that is too deep for a small model (`shared/contracts/shapes.py` has the rule).

    Uses the ordinals from the request's on, at most `APART`. Raises NotStructured, TypeError when `wanted` is no
    object, and what `ask` raises. May run twice.
    """
    parts = parts_of(wanted)
    if not 1 <= attempts <= APART // len(parts):
        raise ValueError(f"attempts must be 1 to {APART // len(parts)} for the {len(parts)} parts of {wanted.__name__}")
    asking = _Asking(ask, request, attempts)
    value: dict[str, Any] = {}
    errors: dict[int, tuple[str, ...]] = dict.fromkeys(range(len(parts)), ())
    while errors:  # ends: each round asks at least one part once more, and a part has `attempts`
        for number, wrong in errors.items():
            _put(value, parts[number], await asking.for_part(parts[number], number=number, wrong=wrong, known=value))
        errors = _blamed(problems(value, wanted), parts)
    return Structured(wanted.model_validate_json(json.dumps(value)), tuple(asking.made))


@dataclass
class _Asking:
    """All calls for one value."""

    ask: Ask
    request: Generate
    attempts: int
    made: list[Attempt] = field(default_factory=list)
    _used: dict[int, int] = field(default_factory=dict)
    _last: dict[int, str] = field(default_factory=dict)

    async def for_part(
        self, part: Part, *, number: int, wrong: tuple[str, ...], known: dict[str, Any]
    ) -> dict[str, Any]:
        """The part's JSON object. `wrong`: what is wrong with the last one. Raises NotStructured."""
        shape = part.shape
        while (used := self._used.get(number, 0)) < self.attempts:
            self._used[number] = used + 1
            request = self._request(part, ordinal=number * self.attempts + used, known=known)
            if used:
                request = _again(request, self._last[number], wrong)
            answer = await self.ask(request, Generated, deadline_s=WAIT_S)
            value, wrong = _judged(answer, shape)
            self.made.append(Attempt(answer, wrong, part.name))
            self._last[number] = answer.text
            if answer.finish in ("failed", "unsupported"):
                why = answer.error or answer.engine_reason or f"{answer.engine} cannot answer this"
                raise NotStructured(f"no answer: {why}", self.made)
            if value is not None:
                return value
        of = f" for {part.name}" if part.name else ""
        raise NotStructured(f"no answer fits{of} after {self.attempts} attempts: {'; '.join(wrong)}", self.made)

    def _request(self, part: Part, *, ordinal: int, known: dict[str, Any]) -> Generate:
        call = self.request.call.model_copy(update={"ordinal": self.request.call.ordinal + ordinal})
        schema = part.shape.model_json_schema()
        told = f"Answer with one JSON object that fits this schema, and nothing else: {json.dumps(schema)}"
        messages = _with_system(self.request.messages, told)
        if part.name:
            so_far = f" Known so far: {json.dumps(known)[:SHOWN]}." if known else ""
            messages += (ChatMessage(role="user", content=f"Answer only with `{part.name}`.{so_far}"),)
        return self.request.model_copy(update={"call": call, "messages": messages, "output_schema": schema})


def _judged(answer: Generated, shape: type[BaseModel]) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    if answer.finish == "length":
        return None, (f"it was cut after {answer.usage.tokens_out} tokens: answer shorter",)
    return read_as(answer.text, shape)


def _again(request: Generate, said: str, wrong: Sequence[str]) -> Generate:
    """With the answer before and what is wrong with it; of several only the last, for prompts must stay small."""
    told = (
        "That does not fit:\n" + "\n".join(f"- {each}" for each in wrong[:ERRORS]) + "\nAnswer again, with JSON only."
    )
    more = (ChatMessage(role="assistant", content=said[:SHOWN]), ChatMessage(role="user", content=told))
    return request.model_copy(update={"messages": (*request.messages, *more)})


def _with_system(messages: Sequence[ChatMessage], told: str) -> tuple[ChatMessage, ...]:
    """Chat templates of many models know one system message, at the beginning."""
    if messages and messages[0].role == "system":
        first = messages[0].model_copy(update={"content": f"{messages[0].content}\n\n{told}"})
        return (first, *messages[1:])
    return (ChatMessage(role="system", content=told), *messages)


def _put(value: dict[str, Any], part: Part, found: dict[str, Any]) -> None:
    """Of a field's answer only that field: what else it says was not asked."""
    for name in part.path:
        value = value.setdefault(name, {})
    if not part.field:
        value.update(found)
    elif part.field in found:
        value[part.field] = found[part.field]
    else:
        value.pop(part.field, None)


def _blamed(wrong: Sequence[str], parts: Sequence[Part]) -> dict[int, tuple[str, ...]]:
    """Which parts to ask for again: those that an error names; all of them when it names none."""
    found: dict[int, tuple[str, ...]] = {}
    for error in wrong:
        path = error.partition(": ")[0]
        named = [n for n, part in enumerate(parts) if part.name and _is_in(path, part.name)]
        for number in named or range(len(parts)):
            found[number] = (*found.get(number, ()), error)
    return found


def _is_in(path: str, part: str) -> bool:
    return path == part or path.startswith((f"{part}.", f"{part}["))
