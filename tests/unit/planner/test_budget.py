"""What is left of a budget and how it is divided; pure, so that every case is cheap."""

from datetime import UTC, datetime

from services.planner import budget
from services.planner.goal import Goal, Step
from shared.contracts.goals import Budget, StepSpec, SubmitGoal
from shared.contracts.steps import StepUsage

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def goal(*, engine: str = "ollama/m", planning: int = 0, **limits: float) -> Goal:
    asked = SubmitGoal(goal="why?", budget=Budget.model_validate(limits) if limits else None)
    spent = StepUsage(tokens_in=planning)
    return Goal("g", asked, "{}", created_at=NOW, deadline_at=NOW, engine=engine, planning=spent)


def step(name: str, state: str = "waiting", *, tokens: int = 0, **more: object) -> Step:
    usage = StepUsage(tokens_out=tokens)
    values = {"spec": StepSpec(id=name, question="q"), "state": state, "usage": usage, **more}
    return Step(goal_id="g", run=1, position=0, **values)  # type: ignore[arg-type]


def test_without_a_budget_there_is_no_limit() -> None:
    steps = [step("a", "ready")]
    assert budget.part_of(goal(), steps, steps[0]) == budget.Part()
    assert budget.spent(goal(planning=10**9), steps) is None
    assert budget.no_more_steps(goal(), steps) is None


def test_running_steps_keep_their_parts_and_planning_counts() -> None:
    steps = [step("a", "running", part_tokens=400), step("b", "done", tokens=50), step("c", "ready"), step("write")]
    assert budget.part_of(goal(tokens=1000, planning=50), steps, steps[2]).tokens == (1000 - 50 - 50 - 400) // 2


def test_where_no_model_is_in_use_nothing_is_limited() -> None:
    steps = [step("a", "ready")]
    assert budget.part_of(goal(engine="extractive", tokens=1), steps, steps[0]) == budget.Part()


def test_parts_never_add_up_to_more_than_there_is() -> None:
    whole, steps = goal(tokens=100), [step(str(n), "ready") for n in range(7)]
    for n, each in enumerate(steps):
        part = budget.part_of(whole, steps, each).tokens
        steps[n] = step(each.id, "running", part_tokens=part)
    assert sum(each.part_tokens or 0 for each in steps) <= 100


def test_a_step_that_was_cut_short_waits_until_nobody_runs_and_must_gain() -> None:
    cut = step("a", "done", tokens=200, part_tokens=250, cut_short=True)
    whole = goal(tokens=1000)
    assert budget.again(whole, [cut, step("b", "running", part_tokens=10), step("write")]) == []
    assert budget.again(whole, [cut, step("b", "done", tokens=10), step("write")]) == [cut]
    assert budget.again(whole, [cut, step("b", "done", tokens=600), step("write")]) == []
