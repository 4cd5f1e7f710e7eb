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


@dataclass(frozen=True)
class Queue:
    """Calls that run before another at the same hosts: seconds of all of them and of the longest, at their best."""

    seconds: float = 0.0
    longest: float = 0.0

    def behind(self, seconds: float) -> "Queue":
        """The same with one call more."""
        return Queue(self.seconds + seconds, max(self.longest, seconds))

    def waits_s(self, slots: int) -> float:
        """In whatever order slots take them, the last to get free has at most the longest one more than the first."""
        return max(0.0, self.seconds - (slots - 1) * self.longest) / slots


def fastest_s(chances: Sequence[Chance], most: int, *, loading: bool = True) -> float:
    """Seconds that a call of at most so many tokens takes at the very least, once it has a slot. 0 where the speed of
    any host is unknown."""
    known = [(at.best, at.cold and loading) for at in chances if at.best]
    if not known or len(known) < len(chances):
        return 0.0
    return min(speed.seconds(most, cold=cold) for speed, cold in known)


def least_s(chances: Sequence[Chance], most: int, *, queue: Queue = Queue()) -> float:
    """Seconds until a call of at most so many tokens is done, at the very least. `queue`: what runs before it."""
    alone = fastest_s(chances, most)
    return alone + queue.waits_s(max(sum(at.slots for at in chances), 1)) if alone else 0.0


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
    seconds = {row.id: fastest_s(chances, row.max_tokens or 0, loading=False) for row in rows}
    everybody = Queue()
    for row in rows:
        everybody = everybody.behind(seconds[row.id])

    def late(row: Row, queue: Queue) -> str | None:
        if row.deadline_at is None or row.max_tokens is None:
            return None
        least = least_s(chances, row.max_tokens, queue=queue)
        return refusal(least, (row.deadline_at - now).total_seconds(), engine=engine)

    if not any(late(row, everybody) for row in rows):  # the usual case, and cheap: nobody is late even as the last
        return {}
    found: dict[str, str] = {}
    queue, by_id = Queue(), {row.id: row for row in rows}
    waiting = [Waiting(row.id, row.goal_id, row.priority, row.since, engine) for row in rows]
    for call in turns.next(waiting, free={engine: len(rows)}, now=now):
        if why := late(by_id[call.id], queue):
            found[call.id] = why
        else:
            queue = queue.behind(seconds[call.id])
    return found


def refused(choice: Choice, why: str) -> Choice:
    """A call that fails at once with this reason, in place of one at a host."""
    return Choice("none", choice.engine, reason=why, trouble="late")
