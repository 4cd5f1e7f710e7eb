"""The deterministic plan: the shape of the question decides."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.planner.plan import deterministic_plan, problems
from services.planner.prompt import read_plan
from shared.contracts.goals import StepSpec


def questions(goal: str, **more: int) -> list[str]:
    return [step.question for step in deterministic_plan(goal, **more)]


def test_a_plain_question_is_one_step() -> None:
    assert questions("What does a prefetch of one do?") == ["What does a prefetch of one do?"]


def test_a_comparison_asks_about_both_and_about_each() -> None:
    assert questions("How do apples and pears differ?") == [
        "How do apples and pears differ?",
        "What are apples?",
        "What are pears?",
    ]


@pytest.mark.parametrize(
    "goal",
    [
        "Compare apples and pears in taste, price and colour.",
        "How do apples and pears differ in taste, price and colour?",
        "What are the differences between apples and pears regarding taste, price and colour?",
        "apples vs pears in taste, price, and colour",
        "Compare apples with pears in taste, price and colour, from these documents, with sources.",
    ],
)
def test_a_comparison_in_several_aspects_is_a_step_per_aspect(goal: str) -> None:
    assert questions(goal) == [f"How do apples and pears differ in {a}?" for a in ("taste", "price", "colour")]


def test_several_questions_are_a_step_each() -> None:
    assert questions("What is a lease? Who renews it?") == ["What is a lease?", "Who renews it?"]


def test_how_and_why_are_a_step_each_and_it_takes_its_subject_along() -> None:
    assert questions("How does a lease work and why does it need a fence?") == [
        "How does a lease work?",
        "Why does it need a fence? (How does a lease work?)",
    ]


def test_a_list_of_things_is_a_step_each() -> None:
    assert questions("Explain leases, fences and outboxes.") == ["Explain leases", "Explain fences", "Explain outboxes"]


def test_lines_with_bullets_are_a_step_each() -> None:
    assert questions("Find out:\n- what a lease is\n- what a fence is") == ["what a lease is", "what a fence is"]


def test_what_does_not_fit_is_asked_together_rather_than_dropped() -> None:
    assert questions("A one? B two? C three?", max_steps=2)[1].count("?") >= 2


@given(st.text(min_size=1, max_size=400), st.integers(1, 12))
def test_any_text_makes_a_valid_plan(goal: str, max_steps: int) -> None:
    plan = deterministic_plan(goal, max_steps=max_steps) if goal.strip() else deterministic_plan("x")
    assert problems(plan, max_steps=12) == []
    assert len(plan) <= max_steps


def test_the_same_goal_gives_the_same_plan() -> None:
    assert deterministic_plan("Compare a and b") == deterministic_plan("Compare a and b")


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([], "at least one"),
        ([StepSpec(id="a", question="q"), StepSpec(id="a", question="q")], "used twice"),
        ([StepSpec(id="a", question="q", depends_on=("b",))], "no step 'b'"),
        ([StepSpec(id="a", question="q", depends_on=("a",))], "circle"),
        ([StepSpec(id=f"s{n}", question="q") for n in range(13)], "more than max_steps"),
        ([StepSpec(id="write", question="q")], "planner's own"),
    ],
)
def test_a_plan_that_cannot_work_is_named(steps: list[StepSpec], said: str) -> None:
    assert said in problems(steps)[0]


GOAL = "How do quorum queues and classic queues differ?"


def plan_of(*questions: str) -> str:
    return json.dumps({"steps": [{"id": f"s{n}", "question": q} for n, q in enumerate(questions)]})


@pytest.mark.parametrize("parroted", ["...", "question", "What is the weather like?"])
def test_a_models_plan_that_asks_about_something_else_is_wrong(parroted):
    steps, wrong = read_plan(plan_of("What are quorum queues?", parroted), goal=GOAL, max_steps=12)
    assert steps == ()
    assert wrong == "steps.1.question: asks about nothing in the goal"


def test_a_models_plan_that_leaves_out_most_of_the_goal_is_wrong():
    steps, wrong = read_plan(plan_of("What does it mean to differ?"), goal=GOAL, max_steps=12)
    assert steps == ()
    assert wrong is not None
    assert wrong.startswith("steps: nobody asks about classic, ")


def test_a_models_plan_about_the_goal_is_taken():
    steps, wrong = read_plan(plan_of("What are quorum queues?", "What are classic queues?"), goal=GOAL, max_steps=12)
    assert wrong is None
    assert [step.question for step in steps] == ["What are quorum queues?", "What are classic queues?"]


def test_a_short_afterthought_keeps_the_question_it_belongs_to() -> None:
    assert questions("How do apples and pears differ, and why?")[-1] == "Why? (How do apples and pears differ?)"
