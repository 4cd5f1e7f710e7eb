"""Asking a model for a plan, and reading its answer. Pure; a plan that is wrong comes back as text that says why."""

import json
from typing import Any

from pydantic import TypeAdapter, ValidationError

from services.planner.goal import Goal
from services.planner.plan import problems, strays
from shared.contracts.generation import CallKey, ChatMessage, Generate, Inputs
from shared.contracts.goals import StepSpec

MAX_ATTEMPTS = 3
"""The first asking and two with the error text; then the deterministic plan."""
_PLAN = TypeAdapter(list[StepSpec])
_SYSTEM = (
    "You split a goal into research questions. Answer with JSON only: "
    '{"steps": [{"id": "s1", "question": "...", "depends_on": []}]}. '
    "Each question must be answerable on its own from documents. Use as few as possible, at most %d."
)


def plan_schema(max_steps: int) -> dict[str, Any]:
    """The JSON schema of the answer: flat, since small models fail at nesting."""
    step = {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "question": {"type": "string"},
            "depends_on": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["id", "question"],
    }
    steps = {"type": "array", "items": step, "minItems": 1, "maxItems": max_steps}
    return {"type": "object", "properties": {"steps": steps}, "required": ["steps"]}


def plan_request(goal: Goal, *, wrong: str | None = None, answer: str | None = None) -> Generate:
    """The request for a plan; with `wrong` and `answer`, asked again because the answer before was wrong."""
    submitted = goal.submitted
    messages = [
        ChatMessage(role="system", content=_SYSTEM % submitted.max_steps),
        ChatMessage(role="user", content=f"Goal: {submitted.goal}"),
    ]
    if wrong:
        messages.append(ChatMessage(role="assistant", content=(answer or "")[:2000]))
        messages.append(ChatMessage(role="user", content=f"That is wrong: {wrong}. Answer again, with JSON only."))
    return Generate(
        call=CallKey(goal_id=goal.goal_id, run=goal.run, step="plan", purpose="plan", ordinal=goal.plan_attempts),
        engine=submitted.engine,
        messages=tuple(messages),
        inputs=Inputs(question=submitted.goal),
        max_tokens=1024,
        output_schema=plan_schema(submitted.max_steps),
        priority=submitted.priority,
        deadline_at=goal.deadline_at,
        sensitivity=submitted.sensitivity,
    )


def read_plan(text: str, *, goal: str, max_steps: int) -> tuple[tuple[StepSpec, ...], str | None]:
    """The plan, or nothing and what is wrong with it (at most 500 characters, fields named)."""
    try:
        value = json.loads(text)
        steps = tuple(_PLAN.validate_python(value["steps"] if isinstance(value, dict) else value))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return (), f"steps.{'.'.join(map(str, first['loc']))}: {first['msg']}"[:500]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return (), f"not the JSON that was asked for ({type(error).__name__}: {error})"[:500]
    wrong = problems(steps, max_steps=max_steps) or strays(goal, steps)
    return ((), "; ".join(wrong)[:500]) if wrong else (steps, None)
