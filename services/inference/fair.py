"""Which of the waiting calls runs next: by priority and age, and no goal before all others. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

AGEING = timedelta(seconds=30)
"""Waiting this long is worth one step of priority, so that nothing starves."""


@dataclass(frozen=True)
class Waiting:
    """A call that waits for a slot of `lane`."""

    id: str
    goal_id: str
    priority: int
    since: datetime
    lane: str


def next_to_run(
    waiting: Sequence[Waiting],
    *,
    free: Mapping[str, int],
    now: datetime,
    started: Mapping[str, datetime] | None = None,
) -> list[Waiting]:
    """As many as their lanes have free slots, the most urgent first: priority, and one more for each AGEING that its
    goal has waited. `started`: when a call of a goal was last started. Each start begins the wait of its whole goal
    anew, so goals of one priority take turns, however many calls each has."""
    last, left, chosen = dict(started or {}), dict(free), []
    rest = [call for call in waiting if left.get(call.lane, 0) > 0]
    while rest:
        best = min(rest, key=lambda call: _order(call, now=now, started=last.get(call.goal_id)))
        chosen.append(best)
        left[best.lane] -= 1
        last[best.goal_id] = now
        rest = [call for call in rest if call is not best and left[call.lane] > 0]
    return chosen


@dataclass
class Turns:
    """When a call of each goal that waits was last started here."""

    _started: dict[str, datetime] = field(default_factory=dict)

    def note(self, goal_id: str, *, now: datetime) -> None:
        """A call of it starts."""
        self._started[goal_id] = now

    def next(self, waiting: Sequence[Waiting], *, free: Mapping[str, int], now: datetime) -> list[Waiting]:
        """Which of these run next."""
        goals = {call.goal_id for call in waiting}
        self._started = {goal: at for goal, at in self._started.items() if goal in goals}
        return next_to_run(waiting, free=free, now=now, started=self._started)


def _order(call: Waiting, *, now: datetime, started: datetime | None) -> tuple[float, datetime, str]:
    waits_since = max(call.since, started) if started else call.since
    return -(call.priority + (now - waits_since) / AGEING), call.since, call.id
