"""Changed copies of rows are what the standard library makes of them."""

import dataclasses

from services.planner.goal import Step
from services.planner.rows import replace
from shared.contracts.goals import StepSpec


def test_a_changed_copy_is_the_one_that_dataclasses_makes() -> None:
    step = Step("g", 1, 0, StepSpec(id="s1", question="Why?"))
    changed = replace(step, state="running", fence=2)
    assert changed == dataclasses.replace(step, state="running", fence=2)
    assert (step.state, step.fence) == ("waiting", 0), "the row itself is as it was"
    assert {field.name for field in dataclasses.fields(Step)} == set(vars(changed))
