"""What a goal has used of its budget, what is left, and what each step may use of it. Pure.

Tokens and seconds: as the steps report them when they end. Steps: every time one was given to a worker. What is left is
divided equally among the steps that are neither running nor over; a running one keeps its part until it ends.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.planner.goal import Goal, Step
from shared.contracts.generation import Generate
from shared.contracts.goals import Budget

FREE = "extractive"
CHARACTERS = 3
"""Of a prompt that are taken for a token: on the safe side for prose."""
MIN_ANSWER = 64
"""Tokens that a plan needs."""
WORTH_AGAIN = 1.25
"""A step that was cut short is tried again if it would get so many times the part that it had."""


@dataclass(frozen=True)
class Part:
    """What one step's model calls may cost together; None: no limit."""

    tokens: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Used:
    tokens: int
    seconds: float
    steps: int


def used(goal: Goal, steps: Iterable[Step]) -> Used:
    """Making the plan included."""
    known = list(steps)
    costs = [goal.planning, *(step.usage for step in known)]
    return Used(
        tokens=sum(cost.tokens_in + cost.tokens_out for cost in costs),
        seconds=sum(cost.model_s for cost in costs),
        steps=sum(step.attempts for step in known),
    )


def spent(goal: Goal, steps: Iterable[Step]) -> str | None:
    """Why no further model call may be made; None while something is left."""
    budget = goal.submitted.budget or Budget()
    now = used(goal, steps)
    if budget.tokens is not None and now.tokens >= budget.tokens:
        return f"its budget of {budget.tokens:,} tokens is spent"
    if budget.seconds is not None and now.seconds >= budget.seconds:
        return f"its budget of {budget.seconds:g} s of model time is spent"
    return None


def no_more_steps(goal: Goal, steps: Iterable[Step]) -> str | None:
    """Why no step may be given to a worker any more; None while one may."""
    budget = goal.submitted.budget or Budget()
    if budget.steps is not None and used(goal, steps).steps >= budget.steps:
        return f"its budget of {budget.steps:,} steps is spent"
    return spent(goal, steps)


def too_small(goal: Goal, steps: Iterable[Step]) -> str:
    """Why a step was cut short although something is left."""
    budget, now = goal.submitted.budget or Budget(), used(goal, steps)
    what = []
    if budget.tokens is not None:
        what.append(f"{budget.tokens:,} tokens ({now.tokens:,} used)")
    if budget.seconds is not None:
        what.append(f"{budget.seconds:g} s of model time ({now.seconds:.1f} used)")
    return f"its budget of {' and '.join(what)} does not allow another model call"


def part_of(goal: Goal, steps: Sequence[Step], step: Step) -> Part:
    """What this step gets if it starts now. No limit where no model is in use: nothing is paid for then."""
    budget = goal.submitted.budget
    if budget is None or goal.ending or goal.engine == FREE:
        return Part()
    waiting = [other for other in steps if other.state in ("waiting", "ready") and other.id != step.id]
    return _share(goal, steps, step, among=len(waiting) + 1)


def again(goal: Goal, steps: Sequence[Step]) -> list[Step]:
    """Steps that were cut short and may go further with what the others have left; empty while any is running."""
    cut = [step for step in steps if step.cut_short and not step.is_write]
    if any(step.state == "running" for step in steps) or no_more_steps(goal, steps):
        return []
    new = {step.id: _share(goal, steps, step, among=len(cut) + 1) for step in cut}
    return [
        step for step in cut if _grew(step.part_tokens, new[step.id].tokens) or _grew(step.part_s, new[step.id].seconds)
    ]


def bounded(goal: Goal, request: Generate) -> Generate | None:
    """A request for a plan within what is left; None when that is too little for one."""
    budget = goal.submitted.budget or Budget()
    now = used(goal, ())
    limits: dict[str, float | None] = {}
    if budget.tokens is not None:
        prompt = sum(len(message.content) for message in request.messages) // CHARACTERS + 1
        left = budget.tokens - now.tokens - prompt
        if left < MIN_ANSWER:
            return None
        limits["max_tokens"] = min(request.max_tokens, left)
    if budget.seconds is not None:
        if budget.seconds <= now.seconds:
            return None
        limits["max_s"] = budget.seconds - now.seconds
    return request.model_copy(update=limits)


def _share(goal: Goal, steps: Sequence[Step], step: Step, *, among: int) -> Part:
    budget = goal.submitted.budget or Budget()
    now = used(goal, (other for other in steps if other.id != step.id))
    running = [other for other in steps if other.state == "running" and other.id != step.id]
    tokens = seconds = None
    if budget.tokens is not None:
        held = sum(other.part_tokens or 0 for other in running)
        tokens = max(0, budget.tokens - now.tokens - held) // among
    if budget.seconds is not None:
        promised = sum(other.part_s or 0.0 for other in running)
        seconds = max(0.0, budget.seconds - now.seconds - promised) / among
    return Part(tokens, seconds)


def _grew(before: float | None, now: float | None) -> bool:
    return before is not None and now is not None and now >= max(before, 1) * WORTH_AGAIN
