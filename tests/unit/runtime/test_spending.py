"""A step's model calls stay within its part of the goal's budget, whatever agent makes them."""

import pytest

from shared.contracts.generation import CallKey, ChatMessage, Generate, Generated, Inputs, Timings, Usage
from shared.contracts.steps import RunStep
from shared.runtime.spending import Spending, usage_of


def spending(*, tokens: int | None = None, seconds: float | None = None) -> Spending:
    step = RunStep(goal_id="g", step="s", agent="a", goal="why?", question="why?", fence=1)
    return Spending(step.model_copy(update={"budget_tokens": tokens, "budget_s": seconds}))


def request(*, engine: str = "auto", prompt: str = "x" * 299) -> Generate:
    call = CallKey(goal_id="g", step="s", purpose="research")
    messages = (ChatMessage(role="user", content=prompt),)
    return Generate(call=call, engine=engine, messages=messages, inputs=Inputs(question="why?"))


def answer(*, engine: str = "ollama/m", tokens: int = 0, seconds: float = 0) -> Generated:
    timings = Timings(total_s=seconds)
    call = request().call
    return Generated(call=call, finish="stop", engine=engine, usage=Usage(tokens_out=tokens), timings=timings)


def test_without_a_budget_a_request_stays_as_it_is() -> None:
    assert spending().refusal(request()) is None
    assert spending().bounded(request()) == request()


def test_an_answer_may_have_what_the_prompt_and_earlier_calls_leave() -> None:
    step = spending(tokens=500, seconds=10)
    assert step.bounded(request()).max_tokens == 400
    step.answers.append(answer(tokens=100, seconds=4))
    assert (step.bounded(request()).max_tokens, step.bounded(request()).max_s) == (300, 6)


@pytest.mark.parametrize(
    ("limits", "text"), [({"tokens": 250}, "100 of 250 tokens"), ({"seconds": 4}, "4.0 of 4.0 seconds")]
)
def test_a_call_for_which_too_little_is_left_is_refused_and_remembered(limits: dict[str, float], text: str) -> None:
    step = spending(**limits)
    assert step.refusal(request()) is None
    assert not step.cut_short
    step.answers.append(answer(tokens=100, seconds=4))
    refused = step.refusal(request())
    assert refused
    assert (refused.finish, refused.engine) == ("failed", "ollama/m")
    assert text in (refused.error or "")
    assert step.cut_short


def test_quoting_is_free_and_never_refused() -> None:
    step = spending(tokens=1, seconds=0)
    free = request(engine="extractive")
    assert step.refusal(free) is None
    assert step.bounded(free) == free
    assert usage_of([answer(engine="extractive", seconds=1), answer(tokens=3, seconds=2)]).calls == 1
    assert not step.cut_short


def test_what_an_equal_call_has_paid_for_counts_in_no_budget() -> None:
    step = spending(tokens=500, seconds=10)
    step.answers.append(answer(tokens=400, seconds=9).model_copy(update={"cached": True, "shared": True}))
    assert (step.usage.calls, step.usage.tokens_out, step.usage.model_s) == (0, 0, 0)
    assert step.bounded(request()).max_tokens == 400
    step.answers.append(answer(tokens=100, seconds=4).model_copy(update={"cached": True}))
    assert step.usage.tokens_out == 100, "its own, asked for again after a crash"
