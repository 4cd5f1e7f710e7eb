"""A dead letter that a goal hangs on: the goal hears of it, in the one transaction that parks it."""

import pytest

from services.planner.parking import Parking
from shared.contracts.goals import GoalEnded
from shared.contracts.steps import RunStep
from shared.messaging.envelope import ORIGIN_QUEUE, REASON, Envelope
from tests.integration.planning import Planner, planner

__all__ = ["planner"]


async def park(planner: Planner, step: RunStep) -> None:
    parking = Parking(planner.database, planner.handlers, lambda: planner.clock[0])
    headers = {REASON: "it never works", ORIGIN_QUEUE: "agent.researcher.v1", "goal_id": step.goal_id}
    envelope = Envelope(message_id="poison", type=step.type_name(), headers=headers)
    await parking.on_dead_letter(envelope, step.encode())
    await planner.database.relay.drain(5)


@pytest.mark.parametrize("times", [1, 2])
async def test_a_parked_step_fails_and_its_goal_ends_told_in_one_sequence(planner: Planner, times: int) -> None:
    goal_id = await planner.goal()
    await planner.engine(goal_id)
    (step,) = planner.of(RunStep)
    for _ in range(times):
        await park(planner, step)
    assert planner.told()[-3:] == ["message_parked", "step_failed", "goal_failed"]
    assert [event["seq"] for event in planner.events()] == list(range(1, len(planner.events()) + 1))
    (ended,) = planner.of(GoalEnded)
    assert ended.status == "failed"
    assert "it never works" in ended.reason
