"""The planner on a real database: a goal's whole way, agents played by the test. No broker: the relay is caught."""

import json
from datetime import timedelta

import pytest

from services.planner.store import Goals
from shared.contracts.catalogue import CONTRACTS
from shared.contracts.generation import CallKey, Generated
from shared.contracts.goals import CancelGoal, GoalEnded, SubmitGoal
from shared.contracts.library import CorporaOpened
from shared.contracts.report import WrittenReport
from shared.contracts.steps import ClaimStep, RenewStep, RunStep, StepResult
from shared.contracts.supervision import ChildDied
from shared.errors import Rejected
from shared.messaging.ids import goal_id_for
from tests.integration.planning import Planner


async def test_a_goal_goes_from_question_to_report(planner: Planner) -> None:
    goal_id = await planner.goal()
    await planner.engine(goal_id)
    (step,) = planner.of(RunStep)
    assert (step.agent, step.question) == ("researcher", "What is a lease?")
    await planner.finish(step)
    write = planner.of(RunStep)[-1]
    assert write.agent == "writer"
    assert [r.step for r in write.inputs] == [step.step]
    await planner.finish(write, report=WrittenReport(report="# R"))
    (ended,) = planner.of(GoalEnded)
    assert (ended.status, ended.report, ended.goal_id) == ("done", "# R", goal_id)
    answer = next(out for out in planner.said if out.type == "goal_ended.v1")
    assert (answer.routing_key, answer.correlation_id) == ("client.me", "c1")


async def test_the_bundle_names_the_engine_that_wrote_and_why_it_was_not_the_model(planner: Planner) -> None:
    goal_id = await planner.goal(steps=({"id": "a", "question": "q"},))
    await planner.engine(goal_id, "ollama/small")
    reason = "ollama/small gave no whole section (its answers ended with length)"
    await planner.finish(planner.of(RunStep)[0], engine="ollama/small")
    write = planner.of(RunStep)[-1]
    await planner.finish(write, report=WrittenReport(report="r"), engine="extractive", engine_reason=reason)
    async with planner.database.read() as connection:
        (goal,) = await Goals(connection).newest(limit=1)
    assert goal.bundle is not None
    assert (goal.bundle.engine, goal.bundle.engine_reason) == ("extractive", reason)


async def test_events_are_numbered_without_gaps(planner: Planner) -> None:
    goal_id = await planner.goal()
    await planner.engine(goal_id)
    await planner.finish(planner.of(RunStep)[0])
    await planner.finish(planner.of(RunStep)[1], report=WrittenReport(report="r"))
    assert [event["seq"] for event in planner.events()] == list(range(1, len(planner.events()) + 1))
    assert planner.told()[0] == "goal_accepted"
    assert planner.told()[-1] == "goal_completed"


async def test_a_result_counts_once_and_only_with_the_valid_fence(planner: Planner) -> None:
    await planner.engine(await planner.goal())
    (step,) = planner.of(RunStep)
    claim = ClaimStep(goal_id=step.goal_id, run=1, step=step.step, worker="other")
    await planner.hear(claim, planner.handlers.on_claim_step, reply_to="client.w")
    await planner.finish(step)
    assert planner.told()[-1] == "late_result_refused"
    await planner.finish(step, fence=step.fence + 1)
    await planner.finish(step, fence=step.fence + 1)
    assert planner.told().count("step_finished") == 1


async def test_a_living_lease_is_respected_and_a_lapsed_one_taken_over(planner: Planner) -> None:
    await planner.engine(await planner.goal())
    (step,) = planner.of(RunStep)
    await planner.hear(
        RenewStep(goal_id=step.goal_id, run=1, step=step.step, fence=1, worker="a"), planner.handlers.on_renew_step
    )
    claim = ClaimStep(goal_id=step.goal_id, run=1, step=step.step, worker="b")
    await planner.hear(claim, planner.handlers.on_claim_step, reply_to="client.b")
    planner.clock[0] += planner.handlers.settings.lease + timedelta(seconds=1)
    await planner.hear(claim, planner.handlers.on_claim_step, reply_to="client.b")
    assert [c.verdict for c in planner.of(CONTRACTS["step_claimed.v1"])] == ["held", "granted"]


@pytest.mark.parametrize(
    ("worker", "dead", "verdict"),
    [
        ("researcher-1", {"instance": "researcher-1"}, "granted"),
        ("researcher-12", {"instance": "researcher-1"}, "held"),
        ("researcher-0ab-7", {"instance": "researcher-1", "worker": "researcher-0ab"}, "granted"),
        ("researcher-0abc-7", {"instance": "researcher-1", "worker": "researcher-0ab"}, "held"),
        ("researcher-0ab-7", {"instance": "researcher-1", "worker": "researcher-0_b"}, "held"),
    ],
)
async def test_a_death_ends_the_leases_of_that_worker_and_no_others(
    planner: Planner, worker: str, dead: dict[str, str], verdict: str
) -> None:
    await planner.engine(await planner.goal())
    (step,) = planner.of(RunStep)
    claim = ClaimStep(goal_id=step.goal_id, run=1, step=step.step, worker=worker)
    await planner.hear(claim, planner.handlers.on_claim_step, reply_to="client.a")
    died = ChildDied(service="researcher", reason="exit code 137", **dead)
    await planner.hear(died, planner.handlers.on_child_died)
    claim = ClaimStep(goal_id=step.goal_id, run=1, step=step.step, worker="researcher-new")
    await planner.hear(claim, planner.handlers.on_claim_step, reply_to="client.b")
    assert planner.of(CONTRACTS["step_claimed.v1"])[-1].verdict == verdict


async def test_a_corpus_that_does_not_exist_fails_the_goal_and_says_which_do(planner: Planner) -> None:
    goal_id = await planner.goal(corpus="papers")
    opened = CorporaOpened(goal_id=goal_id, missing=("papers",), known=("books",))
    await planner.hear(opened, planner.planning.on_corpora_opened)
    (ended,) = planner.of(GoalEnded)
    assert ended.status == "failed"
    assert "papers" in ended.reason
    assert "books" in ended.reason


async def test_a_models_wrong_plan_is_asked_again_twice_and_then_replaced(planner: Planner) -> None:
    goal_id = await planner.goal()
    await planner.engine(goal_id, "ollama/small")
    for ordinal in range(3):
        call = CallKey(goal_id=goal_id, step="plan", purpose="plan", ordinal=ordinal)
        answer = Generated(call=call, finish="stop", text='{"steps": [{"id": 1}]}', engine="ollama/small")
        await planner.hear(answer, planner.planning.on_generated)
    asked = planner.of(CONTRACTS["generate.v1"])
    assert len(asked) == 3
    assert "steps.0" in asked[1].messages[-1].content
    assert [step.question for step in planner.of(RunStep)] == ["What is a lease?"]


async def test_a_models_plan_runs_in_the_order_of_its_dependencies(planner: Planner) -> None:
    goal_id = await planner.goal()
    await planner.engine(goal_id, "ollama/small")
    plan = {
        "steps": [{"id": "b", "question": "second lease", "depends_on": ["a"]}, {"id": "a", "question": "first lease"}]
    }
    call = CallKey(goal_id=goal_id, step="plan", purpose="plan")
    generated = Generated(call=call, finish="stop", text=json.dumps(plan), engine="ollama/small")
    await planner.hear(generated, planner.planning.on_generated)
    assert [step.step for step in planner.of(RunStep)] == ["a"]
    await planner.finish(planner.of(RunStep)[0])
    assert [step.step for step in planner.of(RunStep)] == ["a", "b"]


async def test_an_engine_that_was_named_and_cannot_be_had_fails_the_goal(planner: Planner) -> None:
    goal_id = await planner.goal(engine="ollama/big")
    await planner.engine(goal_id, "ollama/big", usable=False, reason="no model: start Ollama")
    assert planner.of(GoalEnded)[0].reason == "no model: start Ollama"


async def test_a_failed_step_does_not_fail_the_goal_unless_all_fail(planner: Planner) -> None:
    await planner.engine(await planner.goal(goal="What is a lease? What is a fence?"))
    first, second = planner.of(RunStep)
    bad = StepResult(step="x", question="q", status="failed", reason="no luck")
    await planner.finish(first, result=bad)
    await planner.finish(second)
    assert planner.of(RunStep)[-1].agent == "writer"

    await planner.engine(await planner.goal())
    await planner.finish(planner.of(RunStep)[-1], result=bad)
    assert "no luck" in planner.of(GoalEnded)[-1].reason


async def test_cancel_ends_a_goal_tells_its_workers_and_refuses_late_results(planner: Planner) -> None:
    goal_id = await planner.goal()
    await planner.engine(goal_id)
    await planner.hear(CancelGoal(goal_id=goal_id), planner.handlers.on_cancel_goal, reply_to="client.me")
    assert planner.of(GoalEnded)[0].status == "cancelled"
    assert planner.of(CONTRACTS["steps_stopped.v1"])[0].goal_id == goal_id
    await planner.finish(planner.of(RunStep)[0])
    assert planner.told()[-1] == "goal_cancelled"


async def test_a_cancellation_that_overtakes_its_goal_is_kept_for_it(planner: Planner) -> None:
    goal_id = goal_id_for("", "late")
    await planner.hear(CancelGoal(goal_id=goal_id), planner.handlers.on_cancel_goal, reply_to="client.me")
    assert planner.of(CONTRACTS["refused.v1"])[0].error == "no_goal"
    await planner.hear(SubmitGoal(goal="q"), planner.handlers.on_submit_goal, message_id="late", reply_to="client.me")
    assert [ended.status for ended in planner.of(GoalEnded)] == ["cancelled"]
    assert "planning_started" not in planner.told()


async def test_a_deadline_ends_a_goal(planner: Planner) -> None:
    await planner.goal(deadline_s=5)
    planner.clock[0] += timedelta(seconds=6)
    async with planner.database.unit() as unit:
        await planner.handlers.on_tick(unit)
    await planner.database.relay.drain(5)
    assert "deadline of 5 s" in planner.of(GoalEnded)[0].reason


async def test_no_more_goals_are_active_than_allowed_and_the_next_starts_when_one_ends(planner: Planner) -> None:
    ids = [await planner.goal() for _ in range(3)]
    assert planner.told().count("planning_started") == 2
    await planner.hear(CancelGoal(goal_id=ids[0]), planner.handlers.on_cancel_goal)
    assert planner.told().count("planning_started") == 3


async def test_steps_that_make_no_plan_are_refused_by_name(planner: Planner) -> None:
    with pytest.raises(Rejected, match=r"steps\.0\.depends_on"):
        await planner.goal(steps=({"id": "a", "question": "q", "depends_on": ["z"]},))


async def test_the_same_message_twice_is_one_goal(planner: Planner) -> None:
    for _ in range(2):
        await planner.hear(SubmitGoal(goal="q"), planner.handlers.on_submit_goal, message_id="same")
    async with planner.database.read() as connection:
        assert len(await Goals(connection).newest(limit=10)) == 1
