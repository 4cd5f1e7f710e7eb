"""Which steps of an ended goal are done again, and the steps of its next run. Pure."""

from collections.abc import Sequence

from services.planner.goal import Step
from services.planner.rows import replace

STANDING = frozenset({"done", "failed"})
"""States that leave a result behind, if only the reason why there is none."""


def begins(steps: Sequence[Step], from_step: str | None) -> set[str]:
    """With `from_step` None every step that failed or never ended, else the report; with a step named, that and those
    that have no result."""
    if from_step is not None:
        return {from_step} | {step.id for step in steps if step.state not in STANDING}
    failed = {step.id for step in steps if step.state != "done" and not step.is_write}
    return failed or {step.id for step in steps if step.is_write}


def again(steps: Sequence[Step], from_step: str | None) -> tuple[str, ...]:
    """Ids in the plan's order: where it begins, and all that depends on that."""
    begin, found = begins(steps, from_step), set[str]()
    while begin - found:
        found |= begin
        begin = {step.id for step in steps if set(step.spec.depends_on) & found}
    return tuple(step.id for step in steps if step.id in found)


def next_run(steps: Sequence[Step], from_step: str | None, *, run: int) -> list[Step]:
    """Steps that stand keep their results; the others begin anew, in a new epoch. One that was done and is where it
    begins is wanted otherwise than it was: its model calls are made anew, too."""
    ids, begin = again(steps, from_step), begins(steps, from_step)

    def anew(step: Step) -> Step:
        fresh = step.state == "done" and step.id in begin
        return Step(step.goal_id, run, step.position, step.spec, epoch=step.epoch + 1, fresh=fresh)

    return [anew(step) if step.id in ids else replace(step, run=run, lease_until=None) for step in steps]
