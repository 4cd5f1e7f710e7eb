"""`warren tokens`: how costs are shown, before anything travels."""

from datetime import UTC, datetime, timedelta

import pytest

from services.cli.outcome import CommandFailed
from services.cli.tokens import refuse_forgotten, rows, total
from shared.contracts.goals import GoalSummary
from shared.contracts.tokens import CallCost, TokensShown

PAID = CallCost(
    step="s1", purpose="research", state="done", engine="ollama/m", tokens_in=100, tokens_out=20, seconds=2.0,
    asked_again=1, joined=2,
)  # fmt: skip
EARLIER = PAID.model_copy(update={"step": "s2", "run": 2, "earlier": True, "asked_again": 0, "joined": 0})
FAILED = PAID.model_copy(update={"state": "failed", "ordinal": 1, "tokens_in": 0, "tokens_out": 5, "joined": 0})
RUNNING = CallCost(step="s3", purpose="section", state="running", engine="auto", joined=1)
NOW = datetime(2026, 11, 23, tzinfo=UTC)
WEEK_S = 7 * 24 * 3600.0


def test_an_answer_that_others_got_was_saved_as_often_and_paid_once() -> None:
    assert (PAID.spent, PAID.saved) == (120, 360)
    assert (EARLIER.spent, EARLIER.saved) == (0, 120)


def test_a_failed_call_costs_and_saves_nothing() -> None:
    assert (FAILED.spent, FAILED.saved) == (5, 0)


def test_calls_stand_by_step_with_the_sum_of_what_was_paid_below() -> None:
    lines = rows([PAID, EARLIER, FAILED, RUNNING])
    assert [line[0] for line in lines] == ["s1", "s1", "s2", "s3", "total"]
    assert [line[-1] for line in lines[:4]] == [
        "paid, 1 x from the ledger, 2 joined",
        "failed, 1 x from the ledger",
        "from an earlier run",
        "running, 1 joined",
    ]
    assert lines[-1] == ("total", "4 calls", "", "", 100, 25, "4.0", 125, 480, "")
    assert total([]) == {"calls": 0, "tokens_in": 0, "tokens_out": 0, "seconds": 0, "spent": 0, "saved": 0}
    assert rows([]) == []


@pytest.mark.parametrize(("age", "calls", "refused"), [(8, (), True), (1, (), False), (8, (PAID,), False)])
def test_a_goal_whose_calls_are_forgotten_is_no_goal_without_costs(
    age: int, calls: tuple[CallCost, ...], refused: bool
) -> None:
    goal = GoalSummary(goal_id="g1", goal="Why?", status="done", created_at=NOW - timedelta(days=age))
    seen = TokensShown(goal_id="g1", calls=calls, kept_s=WEEK_S)
    if refused:
        with pytest.raises(CommandFailed, match="forgotten"):
            refuse_forgotten(goal, seen, now=NOW)
    else:
        refuse_forgotten(goal, seen, now=NOW)
