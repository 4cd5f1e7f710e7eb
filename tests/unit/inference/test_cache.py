"""Which requests share an answer."""

import pytest

from services.inference.cache import alike, share_of
from shared.contracts.chat import Tool
from shared.contracts.generation import ChatMessage
from tests.unit.inference.requests import generate

SAME = {"temperature": 0.0}


def test_who_asks_when_and_how_urgently_makes_no_difference() -> None:
    first = generate(goal_id="g1", step="a", priority=1, max_s=3.0, **SAME)
    assert share_of(first) == share_of(
        generate(goal_id="g2", step="b", ordinal=4, priority=5, engine="ollama/x", stream=True, **SAME)
    )
    assert share_of(first) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"messages": (ChatMessage(role="user", content="Why?"),)},
        {"messages": (ChatMessage(role="system", content="Be brief."), ChatMessage(role="user", content="Why?"))},
        {"max_tokens": 99},
        {"seed": 4},
        {"output_schema": {"type": "object"}},
        {"tools": (Tool(name="look_up"),)},
    ],
)
def test_what_shapes_the_answer_does(change: dict[str, object]) -> None:
    assert share_of(generate(**SAME, **change)) != share_of(generate(**SAME))


def test_sampled_and_fresh_ones_are_nobody_elses() -> None:
    assert share_of(generate(temperature=0.1)) is None
    assert share_of(generate(fresh=True, **SAME)) is None


def test_a_seed_makes_a_warm_request_deterministic() -> None:
    seeded = generate(temperature=0.7, seed=4)
    assert share_of(seeded) is not None
    assert share_of(seeded) == share_of(generate(goal_id="g2", temperature=0.7, seed=4))
    others = [generate(temperature=0.8, seed=4), generate(temperature=0.7, seed=5), generate(temperature=0.0, seed=4)]
    assert share_of(seeded) not in {share_of(other) for other in others}
    assert share_of(generate(temperature=0.7, seed=4, fresh=True)) is None


def test_calls_are_grouped_in_their_order() -> None:
    assert alike({"1": ("x", "m"), "2": ("y", "m"), "3": ("x", "m")}) == {("x", "m"): ["1", "3"], ("y", "m"): ["2"]}
