"""From what a person typed to a goal; a mistake is told before anything is published."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from services.cli.checked import checked
from services.cli.outcome import UsageError
from shared.contracts.goals import SubmitGoal
from shared.contracts.message import MAX_BODY_BYTES


def goal_of(fields: Mapping[str, Any]) -> SubmitGoal:
    """The goal, checked as the planner will check it. Raises UsageError that names the field."""
    goal = checked(SubmitGoal, **fields)
    if len(goal.encode()) > MAX_BODY_BYTES:
        raise UsageError(f"the goal is larger than {MAX_BODY_BYTES:,} bytes", field="goal")
    return goal


def goal_of_line(line: str, defaults: Mapping[str, Any]) -> SubmitGoal:
    """A line of `warren publish`: a JSON goal object, or the goal's own text."""
    if not line.lstrip().startswith("{"):
        return goal_of({**defaults, "goal": line.strip()})
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"not JSON: {error}") from None
    return goal_of({**defaults, **fields})
