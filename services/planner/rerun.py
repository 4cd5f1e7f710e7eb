"""Which steps of an ended goal are done again, and the steps of its next run. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from services.planner.goal import Step

STANDING = frozenset({"done", "failed"})
"""States that leave a result behind, if only the reason why there is none."""


def again(steps: Sequence[Step], from_step: str | None) -> tuple[str, ...]:
    """Ids in the plan's order: where it begins, and all that depends on that. With `from_step` None it begins with
    every step that failed or never ended, else with the report; with a step named, there and where no result is."""
    if from_step is None:
        begin = {step.id for step in steps if step.state != "done" and not step.is_write}
        begin = begin or {step.id for step in steps if step.is_write}
    else:
        begin = {from_step} | {step.id for step in steps if step.state not in STANDING}
    found: set[str] = set()
    while begin - found:
        found |= begin
        begin = {step.id for step in steps if set(step.spec.depends_on) & found}
    return tuple(step.id for step in steps if step.id in found)


def next_run(steps: Sequence[Step], ids: Sequence[str], *, run: int) -> list[Step]:
    """Steps that stand keep their results; the others begin anew, in an epoch in which they may be paid for again."""
    return [
        Step(step.goal_id, run, step.position, step.spec, epoch=step.epoch + 1)
        if step.id in ids
        else replace(step, run=run, lease_until=None)
        for step in steps
    ]
