"""Re-drive: an ended goal runs again from a step, on a real database, agents played by the test."""

from typing import Any

import pytest

from services.planner.redrive import Redrive
from services.planner.rerun import again, next_run
from services.planner.store import Goals
from shared.contracts.catalogue import CONTRACTS
from shared.contracts.goals import CancelGoal, GoalEnded, StepSpec
from shared.contracts.library import CorporaOpened
from shared.contracts.message import Done
from shared.contracts.redrive import RetryGoal
from shared.contracts.report import WrittenReport
from shared.contracts.steps import ClaimStep, RunStep, StepResult, StepUsage
from shared.errors import Rejected
from tests.integration.planning import Planner

PLAN = (
    StepSpec(id="a", question="What is a lease?"),
    StepSpec(id="b", question="What is a fence?", depends_on=("a",)),
    StepSpec(id="c", question="What is an inbox?"),
)
FAILED = StepResult(step="a", question="q", status="failed", reason="the engine was missing")


async def retry(planner: Planner, goal_id: str, **more: Any) -> int:
    """How many steps are done again. Raises what the handler raised."""
    message = RetryGoal(goal_id=goal_id, **more)
    await planner.hear(message, Redrive(planner.handlers).on_retry_goal, reply_to="client.me")
    return int(planner.of(Done)[-1].count)


async def running(planner: Planner, **more: Any) -> str:
    goal_id = await planner.goal(steps=PLAN, **more)
    await planner.engine(goal_id)
    return goal_id


async def done(planner: Planner) -> str:
    """A goal whose four steps are done."""
    goal_id = await running(planner)
    for step in ("a", "c", "b", "write"):
        await finish(planner, step)
    return goal_id


async def finish(planner: Planner, step: str, **more: Any) -> None:
    sent = [s for s in planner.of(RunStep) if s.step == step][-1]
    report = {"report": WrittenReport(report=f"# run {sent.run}")} if step == "write" else {}
    await planner.finish(sent, **{"usage": StepUsage(calls=1, tokens_in=10), **report, **more})


def sent_in(planner: Planner, run: int) -> list[str]:
    return [step.step for step in planner.of(RunStep) if step.run == run]


async def goal_of(planner: Planner, goal_id: str) -> Any:
    async with planner.database.read() as connection:
        return await Goals(connection).get(goal_id)


async def test_a_failed_goal_goes_on_from_what_failed_and_keeps_what_stands(planner: Planner) -> None:
    goal_id = await running(planner)
    await finish(planner, "c")
    await finish(planner, "a", result=FAILED)
    await finish(planner, "b")
    await finish(planner, "write", result=FAILED, report=None)
    assert planner.told()[-1] == "goal_failed"
    assert await retry(planner, goal_id) == 3
    told = next(event for event in planner.events() if event["event"] == "goal_retried")
    assert told["data"] == {"run": 2, "from": "a", "again": ["a", "b", "write"], "kept": 1}
    assert sent_in(planner, 2) == [], "the engine is looked at first"
    await planner.engine(goal_id)
    assert sent_in(planner, 2) == ["a"]
    for step in ("a", "b", "write"):
        await finish(planner, step)
    assert sent_in(planner, 2) == ["a", "b", "write"]
    write = planner.of(RunStep)[-1]
    assert [(r.step, r.status) for r in write.inputs] == [("a", "done"), ("b", "done"), ("c", "done")]
    goal = await goal_of(planner, goal_id)
    assert (goal.status, goal.bundle.report, goal.bundle.stats.tokens_in) == ("done", "# run 2", 40)
    assert [event["seq"] for event in planner.events()] == list(range(1, len(planner.events()) + 1))


async def test_only_what_is_done_again_gets_a_new_epoch(planner: Planner) -> None:
    goal_id = await done(planner)
    assert await retry(planner, goal_id, from_step="b") == 2
    await planner.engine(goal_id)
    await finish(planner, "b")
    assert [(s.step, s.epoch) for s in planner.of(RunStep) if s.run == 2] == [("b", 1), ("write", 1)]


async def test_a_finished_goal_writes_its_report_again_and_has_the_old_one_until_then(planner: Planner) -> None:
    goal_id = await done(planner)
    assert await retry(planner, goal_id) == 1
    assert (await goal_of(planner, goal_id)).bundle.report == "# run 1"
    await planner.engine(goal_id)
    assert sent_in(planner, 2) == ["write"]
    assert planner.told()[-2:] == ["writing_started", "step_dispatched"]
    await finish(planner, "write")
    assert (await goal_of(planner, goal_id)).bundle.report == "# run 2"


async def test_the_final_answer_was_given_once_and_stays_the_only_one(planner: Planner) -> None:
    goal_id = await done(planner)
    await retry(planner, goal_id)
    await planner.engine(goal_id)
    await finish(planner, "write")
    assert len(planner.of(GoalEnded)) == 1


async def test_a_cancelled_goal_runs_what_was_dropped(planner: Planner) -> None:
    goal_id = await running(planner)
    await finish(planner, "c")
    await planner.hear(CancelGoal(goal_id=goal_id), planner.handlers.on_cancel_goal, reply_to="client.me")
    await retry(planner, goal_id)
    await planner.engine(goal_id)
    assert sent_in(planner, 2) == ["a"]


async def test_another_engine_is_asked_for_from_now_on(planner: Planner) -> None:
    goal_id = await planner.goal(steps=PLAN, engine="ollama/none")
    await planner.engine(goal_id, "ollama/none", usable=False, reason="no such model")
    assert planner.told()[-1] == "goal_failed"
    await retry(planner, goal_id, engine="ollama/some")
    asked = planner.of(CONTRACTS["describe_engine.v1"])
    assert [question.engine for question in asked] == ["ollama/none", "ollama/some"]
    await planner.engine(goal_id, "ollama/some")
    assert [(s.engine, s.run) for s in planner.of(RunStep)] == [("ollama/some", 2), ("ollama/some", 2)]


async def test_what_is_built_in_need_not_be_asked_for(planner: Planner) -> None:
    goal_id = await planner.goal(steps=PLAN, engine="extractive")
    assert not planner.of(CONTRACTS["describe_engine.v1"])
    assert (await goal_of(planner, goal_id)).engine == "extractive"
    assert {step.engine for step in planner.of(RunStep)} == {"extractive"}


async def test_a_goal_that_failed_before_it_had_a_plan_is_planned_anew(planner: Planner) -> None:
    goal_id = await planner.goal(corpus="papers")
    await planner.engine(goal_id)
    missing = CorporaOpened(goal_id=goal_id, watermark=0, missing=("papers",))
    await planner.hear(missing, planner.planning.on_corpora_opened)
    assert planner.told()[-1] == "goal_failed"
    await retry(planner, goal_id)
    await planner.engine(goal_id)
    assert sent_in(planner, 2) == []
    await planner.hear(CorporaOpened(goal_id=goal_id, watermark=7), planner.planning.on_corpora_opened)
    assert [(s.run, s.watermark) for s in planner.of(RunStep)] == [(2, 7)]


@pytest.mark.parametrize("engine_first", [True, False])
async def test_engine_and_corpora_are_both_waited_for_in_any_order(planner: Planner, engine_first: bool) -> None:
    goal_id = await planner.goal(steps=PLAN, corpus="papers")
    opened = CorporaOpened(goal_id=goal_id, watermark=1)
    await planner.engine(goal_id)
    await planner.hear(opened, planner.planning.on_corpora_opened)
    await planner.hear(CancelGoal(goal_id=goal_id), planner.handlers.on_cancel_goal, reply_to="client.me")
    await retry(planner, goal_id)
    for engine in (engine_first, not engine_first):
        assert sent_in(planner, 2) == []
        if engine:
            await planner.engine(goal_id)
        else:
            await planner.hear(opened, planner.planning.on_corpora_opened)
    assert sent_in(planner, 2) == ["a", "c"]


async def test_late_results_and_claims_of_the_run_before_are_refused(planner: Planner) -> None:
    goal_id = await running(planner)
    old = planner.of(RunStep)[0]
    await planner.hear(CancelGoal(goal_id=goal_id), planner.handlers.on_cancel_goal, reply_to="client.me")
    await retry(planner, goal_id)
    await planner.engine(goal_id)
    await planner.finish(old)
    assert planner.told()[-1] == "late_result_refused"
    claim = ClaimStep(goal_id=goal_id, run=1, step=old.step, worker="w")
    await planner.hear(claim, planner.handlers.on_claim_step, reply_to="client.w")
    assert planner.of(CONTRACTS["step_claimed.v1"])[-1].verdict == "gone"


async def test_its_time_begins_anew(planner: Planner) -> None:
    goal_id = await running(planner, deadline_s=60)
    await planner.hear(CancelGoal(goal_id=goal_id), planner.handlers.on_cancel_goal, reply_to="client.me")
    planner.clock[0] += planner.handlers.settings.goal_deadline
    await retry(planner, goal_id)
    async with planner.database.unit() as unit:
        await planner.handlers.on_tick(unit)
    goal = await goal_of(planner, goal_id)
    assert (goal.status, (goal.deadline_at - planner.clock[0]).total_seconds()) == ("planning", 60)


async def test_a_spent_budget_is_there_again_less_what_the_kept_results_cost(planner: Planner) -> None:
    goal_id = await planner.goal(steps=PLAN, budget={"tokens": 100})
    await planner.engine(goal_id, "ollama/m")
    await finish(planner, "c", usage=StepUsage(calls=1, tokens_in=30))
    await finish(planner, "a", usage=StepUsage(calls=1, tokens_in=90))
    await finish(planner, "write")
    goal = await goal_of(planner, goal_id)
    assert (goal.status, goal.bundle.status, goal.reason) == ("failed", "failed", "its budget of 100 tokens is spent")
    await retry(planner, goal_id, from_step="a")
    assert (await goal_of(planner, goal_id)).bundle is None, "a partial report does not outlive its run"
    await planner.engine(goal_id, "ollama/m")
    (step,) = [step for step in planner.of(RunStep) if step.run == 2]
    assert (step.step, step.budget_tokens) == ("a", (100 - 30) // 3)


async def test_a_step_that_is_not_there_or_a_goal_that_runs_is_refused(planner: Planner) -> None:
    goal_id = await running(planner)
    with pytest.raises(Rejected, match="it has not ended, it is researching"):
        await retry(planner, goal_id)
    await planner.hear(CancelGoal(goal_id=goal_id), planner.handlers.on_cancel_goal, reply_to="client.me")
    with pytest.raises(Rejected, match="no step 'x'") as refusal:
        await retry(planner, goal_id, from_step="x")
    assert (refusal.value.field, refusal.value.hint) == ("from_step", "steps: a, b, c, write")
    with pytest.raises(Rejected, match="no goal nothing"):
        await retry(planner, "nothing")
    assert "goal_retried" not in planner.told()


async def test_which_steps_are_done_again_follows_the_plan(planner: Planner) -> None:
    goal_id = await done(planner)
    async with planner.database.read() as connection:
        steps = await Goals(connection).steps(goal_id, 1)
    assert again(steps, "a") == ("a", "b", "write")
    assert again(steps, "c") == ("c", "write")
    assert again(steps, "write") == again(steps, None) == ("write",)
    kept = next_run(steps, "write", run=2)
    assert [(s.run, s.state, s.epoch) for s in kept] == [(2, "done", 0)] * 3 + [(2, "waiting", 1)]


async def test_only_what_was_done_and_is_wanted_otherwise_is_paid_for_anew(planner: Planner) -> None:
    goal_id = await running(planner)
    await finish(planner, "c")
    await finish(planner, "a", result=FAILED)
    await finish(planner, "b")
    await finish(planner, "write", result=FAILED, report=None)
    await retry(planner, goal_id)
    await planner.engine(goal_id)
    for step in ("a", "b", "write"):
        await finish(planner, step)
    assert [(s.step, s.fresh) for s in planner.of(RunStep) if s.run == 2] == [(n, False) for n in ("a", "b", "write")]
    await retry(planner, goal_id, from_step="b")
    await planner.engine(goal_id)
    await finish(planner, "b")
    await finish(planner, "write")
    assert [(s.step, s.fresh) for s in planner.of(RunStep) if s.run == 3] == [("b", True), ("write", False)]
    await retry(planner, goal_id, from_step="b", fresh=True)
    await planner.engine(goal_id)
    await finish(planner, "b")
    assert [(s.step, s.fresh) for s in planner.of(RunStep) if s.run == 4] == [("b", True), ("write", True)]


async def test_limits_that_were_too_low_are_raised_for_the_next_run_and_those_after_it(planner: Planner) -> None:
    goal_id = await planner.goal(steps=PLAN, budget={"tokens": 100, "steps": 9}, deadline_s=60)
    await planner.engine(goal_id, "ollama/m")
    await finish(planner, "a", usage=StepUsage(calls=1, tokens_in=100))
    await finish(planner, "write", report=WrittenReport(report="partial"))
    assert (await goal_of(planner, goal_id)).reason == "its budget of 100 tokens is spent"
    await retry(planner, goal_id, budget={"tokens": 1000}, deadline_s=600)
    goal = await goal_of(planner, goal_id)
    assert (goal.submitted.budget.tokens, goal.submitted.budget.steps) == (1000, 9)
    assert (goal.deadline_at - planner.clock[0]).total_seconds() == 600
    told = next(event for event in planner.events() if event["event"] == "goal_retried")
    assert (told["data"]["budget"], told["data"]["deadline_s"]) == ({"tokens": 1000}, 600)
    await planner.engine(goal_id, "ollama/m")
    for step in ("c", "b", "write"):
        await finish(planner, step)
    assert (await goal_of(planner, goal_id)).status == "done"
    await retry(planner, goal_id)
    assert (await goal_of(planner, goal_id)).submitted.budget.tokens == 1000
