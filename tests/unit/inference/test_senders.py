"""Who may ask for what, by the user that the broker vouches for."""

import pytest

from services.inference.handlers import check_sender
from shared.contracts.sessions import turn_key
from shared.errors import NotAllowed
from tests.unit.inference.requests import generate


def test_a_client_makes_no_calls_in_the_name_of_a_goal() -> None:
    with pytest.raises(NotAllowed, match="session-"):
        check_sender(generate(goal_id="g1"), "client")


def test_its_own_and_those_of_services_are_fine() -> None:
    check_sender(generate(goal_id=turn_key("notes", 1, "Why?").goal_id), "client")
    check_sender(generate(goal_id="g1"), "researcher")
    check_sender(generate(goal_id="g1"), None)
