"""What a goal may cost, and what is left of one that ran out of time or budget: a partial report."""

from datetime import timedelta
from typing import Any

import pytest

from services.planner.store import Goals
from shared.contracts.catalogue import CONTRACTS
from shared.contracts.evidence import Finding
from shared.contracts.generation import CallKey, Generated, Usage
from shared.contracts.goals import GoalEnded
from shared.contracts.report import WrittenReport
from shared.contracts.steps import ClaimStep, RunStep, StepResult, StepUsage
from tests.integration.planning import Planner

FOUND = Finding(text="A lease ends.", evidence_ids=("e1",))
TWO = "What is a lease? What is a fence?"


async def research(planner: Planner, step: RunStep, **usage: Any) -> None:
    """The step ends with a finding and with this cost."""
    result = StepResult(step=step.step, question=step.question, findings=(FOUND,))
    await planner.finish(step, result=result, usage=StepUsage(calls=1, **usage), engine="ollama/m")


async def budgeted(planner: Planner, budget: dict[str, Any], **more: Any) -> list[RunStep]:
    """The steps of a goal that a model answers, its plan given."""
    plan = ({"id": "a", "question": "lease?"}, {"id": "b", "question": "fence?"})
    await planner.engine(await planner.goal(budget=budget, steps=plan, **more), "ollama/m")
    return planner.of(RunStep)


async def test_a_budget_is_divided_among_the_open_steps_and_what_is_left_goes_to_the_others(planner: Planner) -> None:
    a, b = await budgeted(planner, {"tokens": 3000, "seconds": 30})
    assert [(s.budget_tokens, s.budget_s) for s in (a, b)] == [(1000, 10), (1000, 10)]
    await research(planner, a, tokens_in=150, tokens_out=50, model_s=1)
    await research(planner, b, tokens_in=700, tokens_out=100, model_s=2)
    write = planner.of(RunStep)[-1]
    assert (write.step, write.budget_tokens, write.budget_s, write.engine) == ("write", 2000, 27, "auto")
    await planner.finish(write, report=WrittenReport(report="# R"))
    assert planner.of(GoalEnded)[0].status == "done"


@pytest.mark.parametrize(
    ("budget", "usage", "reason"),
    [
        ({"tokens": 5000}, {"tokens_in": 4500, "tokens_out": 500}, "its budget of 5,000 tokens is spent"),
        ({"seconds": 90}, {"model_s": 95.5}, "its budget of 90 s of model time is spent"),
        ({"steps": 2}, {}, "its budget of 2 steps is spent"),
    ],
)
async def test_a_spent_budget_ends_the_goal_as_failed_with_a_partial_report(
    planner: Planner, budget: dict[str, Any], usage: dict[str, Any], reason: str
) -> None:
    a, b = await budgeted(planner, budget)
    await research(planner, a, **usage)
    if "steps" in budget:
        await research(planner, b)
    stop, write = planner.of(CONTRACTS["steps_stopped.v1"])[-1], planner.of(RunStep)[-1]
    assert (write.step, write.engine, write.epoch, stop.before_epoch) == ("write", "extractive", 1, 1)
    assert next(r.findings for r in write.inputs if r.status == "done") == (FOUND,)
    assert (write.budget_tokens, write.budget_s) == (None, None)
    if "steps" not in budget:
        await research(planner, b)
        assert planner.told()[-1] == "late_result_refused"
    await planner.finish(write, report=WrittenReport(report="# R"), engine="extractive")
    (ended,) = planner.of(GoalEnded)
    assert (ended.status, ended.reason) == ("failed", reason)
    assert ended.report.startswith(f"**Partial report:** {reason}.")
    assert "# R" in ended.report
    async with planner.database.read() as connection:
        (goal,) = await Goals(connection).newest(limit=1)
    assert goal.bundle
    assert (goal.bundle.status, goal.status) == ("failed", "failed")


async def test_a_passed_deadline_leaves_a_partial_report_or_none_after_the_grace(planner: Planner) -> None:
    for report in (True, False):
        a, _ = (await budgeted(planner, {"tokens": 9000}, deadline_s=5))[-2:]
        await research(planner, a)
        planner.clock[0] += timedelta(seconds=6)
        await tick(planner)
        write = planner.of(RunStep)[-1]
        assert (write.step, write.engine) == ("write", "extractive")
        assert write.deadline_at == planner.clock[0] + planner.handlers.settings.partial_grace
        if report:
            await planner.finish(write, report=WrittenReport(report="# R"))
        else:
            planner.clock[0] += timedelta(seconds=21)
            await tick(planner)
        ended = planner.of(GoalEnded)[-1]
        assert (ended.status, ended.reason) == ("failed", "its deadline of 5 s is over")
        assert bool(ended.report) is report


async def test_a_deadline_that_a_worker_notices_first_ends_the_goal_alike(planner: Planner) -> None:
    a, b = await budgeted(planner, {}, deadline_s=5)
    await research(planner, a)
    planner.clock[0] += timedelta(seconds=5)
    late = StepResult(step="b", question="fence?", status="failed", reason="its deadline passed while it was at: x")
    await planner.finish(b, result=late)
    write = planner.of(RunStep)[-1]
    await planner.finish(write, report=WrittenReport(report="# R"))
    assert planner.of(GoalEnded)[0].reason == "its deadline of 5 s is over"


async def test_with_nothing_found_a_goal_that_ran_out_just_ends(planner: Planner) -> None:
    a, _ = await budgeted(planner, {"tokens": 100})
    await planner.finish(a, usage=StepUsage(tokens_in=200), result=StepResult(step="a", question="q"))
    (ended,) = planner.of(GoalEnded)
    assert (ended.status, ended.reason, ended.report) == ("failed", "its budget of 100 tokens is spent", None)
    assert len(planner.of(RunStep)) == 2


async def test_a_step_that_was_cut_short_goes_on_with_what_the_others_left(planner: Planner) -> None:
    a, b = await budgeted(planner, {"tokens": 3000})
    cut = StepResult(step="a", question="lease?", findings=(FOUND,), reason="quoted")
    await planner.finish(a, result=cut, cut_short=True, usage=StepUsage(calls=1, tokens_in=900))
    await research(planner, b, tokens_in=100)
    again = planner.of(RunStep)[-1]
    assert (again.step, again.budget_tokens, again.fence) == ("a", 1450, a.fence + 1)
    await planner.finish(again, result=cut, cut_short=True, usage=StepUsage(calls=1, tokens_in=1400))
    write = planner.of(RunStep)[-1]
    assert (write.step, write.engine) == ("write", "extractive")
    await planner.finish(write, report=WrittenReport(report="# R"))
    assert "does not allow another model call" in planner.of(GoalEnded)[0].reason


async def test_a_redelivered_step_counts_as_a_step(planner: Planner) -> None:
    a, _ = await budgeted(planner, {"steps": 2})
    claim = ClaimStep(goal_id=a.goal_id, run=1, step="a", worker="w2")
    await planner.hear(claim, planner.handlers.on_claim_step, reply_to="client.b")
    assert planner.of(CONTRACTS["step_claimed.v1"])[0].verdict == "gone"
    assert planner.of(GoalEnded)[0].reason == "its budget of 2 steps is spent"


async def test_a_plan_costs_and_a_budget_without_room_for_one_gets_the_plan_by_rules(planner: Planner) -> None:
    goal_id = await planner.goal(goal=TWO, budget={"tokens": 100})
    await planner.engine(goal_id, "ollama/small")
    assert not planner.of(CONTRACTS["generate.v1"])
    goal_id = await planner.goal(goal=TWO, budget={"tokens": 1000})
    await planner.engine(goal_id, "ollama/small")
    asked = planner.of(CONTRACTS["generate.v1"])[-1]
    assert asked.max_tokens < 1000
    call = CallKey(goal_id=goal_id, step="plan", purpose="plan")
    plan = '{"steps": [{"id": "x", "question": "a lease and a fence"}]}'
    cost = Usage(tokens_in=100, tokens_out=100)
    answer = Generated(call=call, finish="stop", text=plan, engine="ollama/small", usage=cost)
    await planner.hear(answer, planner.planning.on_generated)
    assert planner.of(RunStep)[-1].budget_tokens == 400


async def tick(planner: Planner) -> None:
    async with planner.database.unit() as unit:
        await planner.handlers.on_tick(unit)
    await planner.database.relay.drain(5)
