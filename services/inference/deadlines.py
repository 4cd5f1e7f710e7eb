"""What cannot finish by its deadline is refused at once, with figures. Pure.

The estimate is a bound from below: every part at its best of the last calls, running calls taken to end this moment.
A call is refused only when even that is too late, and never where the speed of a host is not known.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.inference.fair import Turns, Waiting
from services.inference.generation import Choice
from services.inference.rates import Speed
from services.inference.rows import Row


@dataclass(frozen=True)
class Chance:
    """A host that has the model. `best`: None for unknown. `cold`: the model is not loaded there."""

    slots: int
    best: Speed | None
    cold: bool = False


def least_s(chances: Sequence[Chance], most: int, *, ahead: Sequence[int] = ()) -> float:
    """Seconds that a call of at most so many tokens takes at the very least. `ahead`: how many tokens each call may
    have that runs before it at the same hosts. 0 where anything is unknown."""
    known = [chance.best for chance in chances if chance.best]
    if not known or len(known) < len(chances):
        return 0.0
    slots = max(sum(chance.slots for chance in chances), 1)
    fastest = [min(speed.seconds(tokens) for speed in known) for tokens in ahead]
    # In whatever order slots take them, the last to get free has no more than one of these more than the first.
    waits_s = max(0.0, sum(fastest) - (slots - 1) * max(fastest, default=0.0)) / slots
    return waits_s + min(speed.seconds(most, cold=at.cold) for at, speed in zip(chances, known, strict=True))


def refusal(least: float, left_s: float, *, engine: str) -> str | None:
    """Why it is refused, for a person; None when it may still be in time."""
    if least <= max(left_s, 0.0):
        return None
    return (
        f"{engine} needs at least {_seconds(least)}, {_seconds(max(left_s, 0.0))} are left: "
        "give it a later deadline, ask for fewer tokens, or add a host"
    )


def _seconds(value: float) -> str:
    return f"{value:.0f} s" if value >= 10 else f"{value:.1f} s"


def too_late(
    rows: Sequence[Row], chances: Sequence[Chance], turns: Turns, *, engine: str, now: datetime
) -> dict[str, str]:
    """Of waiting calls of one engine those that cannot finish in time, each with the reason. `turns`: who is before
    whom."""
    everybody = [row.max_tokens for row in rows if row.max_tokens]

    def late(row: Row, ahead: Sequence[int]) -> str | None:
        if row.deadline_at is None or row.max_tokens is None:
            return None
        least = least_s(chances, row.max_tokens, ahead=ahead)
        return refusal(least, (row.deadline_at - now).total_seconds(), engine=engine)

    if not any(late(row, everybody) for row in rows):  # the usual case, and cheap: nobody is late even as the last
        return {}
    found: dict[str, str] = {}
    ahead: list[int] = []
    by_id = {row.id: row for row in rows}
    waiting = [Waiting(row.id, row.goal_id, row.priority, row.since, engine) for row in rows]
    for call in turns.next(waiting, free={engine: len(rows)}, now=now):
        row = by_id[call.id]
        if why := late(row, ahead):
            found[row.id] = why
        elif row.max_tokens:
            ahead.append(row.max_tokens)
    return found


def refused(choice: Choice, why: str) -> Choice:
    """A call that fails at once with this reason, in place of one at a host."""
    return Choice("none", choice.engine, reason=why, trouble="late")
