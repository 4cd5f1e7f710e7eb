"""A restricted goal: all that is asked for it says so, and what it found is not for other goals."""

from typing import Any

import pytest

from services.planner.queries import Queries
from services.planner.redrive import Redrive
from services.planner.settings import Settings
from shared.contracts.catalogue import CONTRACTS
from shared.contracts.evidence import Finding
from shared.contracts.generation import DescribeEngine, EngineDescribed, Generate
from shared.contracts.goals import PreviewGoal, SubmitGoal
from shared.contracts.redrive import RetryGoal
from shared.contracts.report import WrittenReport
from shared.contracts.steps import RunStep, StepResult
from shared.messaging.envelope import Envelope
from tests.integration.planning import Planner, planner

__all__ = ["planner"]


async def run(planner: Planner, **more: Any) -> str:
    """To its end; every step finds something."""
    goal_id = await planner.goal(steps=({"id": "a", "question": "lease?"},), **more)
    await planner.engine(goal_id, "ollama/m")
    a = planner.of(RunStep)[-1]
    found = Finding(text="A lease ends.", evidence_ids=("e1",))
    await planner.finish(a, result=StepResult(step=a.step, question=a.question, findings=(found,)))
    await planner.finish(planner.of(RunStep)[-1], report=WrittenReport(report="# R"))
    assert planner.told()[-1] == "goal_completed"
    return goal_id


@pytest.mark.parametrize("level", ["internal", "restricted"])
async def test_all_that_is_asked_for_it_has_its_level(planner: Planner, level: str) -> None:
    goal_id = await run(planner, sensitivity=level)
    assert {asked.sensitivity for asked in planner.of(DescribeEngine)} == {level}
    assert [step.sensitivity for step in planner.of(RunStep)] == [level, level]
    assert len(planner.of(CONTRACTS["remember.v1"])) == (level == "internal")
    await planner.hear(RetryGoal(goal_id=goal_id, from_step="a"), Redrive(planner.handlers).on_retry_goal, reply_to="c")
    await planner.engine(goal_id, "ollama/m")
    assert planner.of(DescribeEngine)[-1].sensitivity == planner.of(RunStep)[-1].sensitivity == level


async def test_so_has_the_request_for_its_plan(planner: Planner) -> None:
    await planner.engine(await planner.goal(sensitivity="restricted"), "ollama/m")
    assert [asked.sensitivity for asked in planner.of(Generate)] == ["restricted"]


async def test_an_engine_that_it_may_not_use_ends_it_with_the_reason(planner: Planner) -> None:
    why = "http://gateway is not local, so nothing restricted is sent to it"
    goal_id = await planner.goal(sensitivity="restricted", engine="openai/m")
    await planner.engine(goal_id, "openai/m", usable=False, reason=why)
    assert (planner.told()[-1], planner.events()[-1]["data"]["reason"]) == ("goal_failed", why)
    assert planner.of(Generate) == []


async def test_a_restricted_corpus_makes_a_goal_restricted(planner: Planner) -> None:
    settings = Settings(home=planner.handlers.settings.home, restricted_corpora="law, hr-*")
    object.__setattr__(planner.handlers, "settings", settings)
    for corpora, level in ((("open", "hr-1"), "restricted"), (("law",), "restricted"), (("lawyers",), "internal")):
        await planner.goal(corpus=corpora, sensitivity="internal")
        assert planner.of(DescribeEngine)[-1].sensitivity == level
        assert planner.events()[-2]["data"].get("sensitivity", "internal") == level


async def test_a_preview_asks_for_the_same_engine() -> None:
    asked: list[DescribeEngine] = []

    class Requests:
        async def ask(self, command: DescribeEngine, _: type[EngineDescribed]) -> EngineDescribed:
            asked.append(command)
            return EngineDescribed(engine="extractive")

    queries = Queries(None, Requests())  # type: ignore[arg-type]  # test
    await queries.on_preview_goal(PreviewGoal(goal=SubmitGoal(goal="x", sensitivity="restricted")), Envelope())
    assert [command.sensitivity for command in asked] == ["restricted"]
