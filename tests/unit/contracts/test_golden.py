"""One example of every contract, as it goes over the wire: a renamed field fails here, not at a consumer.

A new field with a default is a compatible change: add it to the example. Anything else is a new version of the
contract (`class ...(Command, name="submit_goal", version=2)`) with an example of its own; the old one stays.
"""

import json
from pathlib import Path

import pytest

from shared.contracts.catalogue import CONTRACTS
from shared.contracts.goals import SubmitGoal
from shared.contracts.message import Command

GOLDEN = Path(__file__).with_name("golden")


def test_every_contract_has_an_example_and_every_example_a_contract() -> None:
    assert {file.stem for file in GOLDEN.glob("*.json")} == set(CONTRACTS)


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_example_says_the_same_when_it_is_read_and_written_again(name: str) -> None:
    text = (GOLDEN / f"{name}.json").read_text()
    message = CONTRACTS[name].model_validate_json(text)
    assert json.loads(message.encode()) == json.loads(text)


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_example_shows_every_field(name: str) -> None:
    assert set(json.loads((GOLDEN / f"{name}.json").read_text())) == set(CONTRACTS[name].model_fields)


def test_names_on_the_wire_are_these() -> None:
    """Written down, not computed: another language's client has them in its source."""
    assert SubmitGoal.key() == "cmd.planner.submit_goal.v1"
    assert SubmitGoal.type_name() == "submit_goal.v1"
    keys = [c.key() for c in CONTRACTS.values() if issubclass(c, Command)]
    assert len(keys) == len(set(keys))


def test_a_goal_needs_nothing_but_its_goal() -> None:
    assert SubmitGoal.model_validate_json('{"goal": "Why?"}').goal == "Why?"
