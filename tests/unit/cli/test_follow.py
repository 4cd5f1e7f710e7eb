"""Following a goal: whatever is lost, doubled or late on the way, each event is seen once and in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.cli.follow import Quiet, Sequence, following
from shared.contracts.goals import (
    EventsListed,
    EventsSince,
    GoalEvent,
    GoalsListed,
    GoalSummary,
    ListGoals,
    StepProgress,
)
from shared.contracts.message import Event
from shared.errors import NoReply

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def event(seq: int, name: str = "step_dispatched") -> GoalEvent:
    return GoalEvent(goal_id="g1", seq=seq, event=name, at=NOW)


@dataclass
class FakePlanner:
    """A client whose planner keeps `stored`; `live` is what the watch brings."""

    stored: list[GoalEvent] = field(default_factory=list)
    live: list[Event] = field(default_factory=list)
    refusals: int = 0
    asked: list[Any] = field(default_factory=list)

    async def ask(self, command: Any, reply: Any, **_: Any) -> Any:
        self.asked.append(command)
        if self.refusals:
            self.refusals -= 1
            raise NoReply("the planner is away")
        over = any(e.event == "goal_completed" for e in self.stored)
        if isinstance(command, ListGoals):
            known = [GoalSummary(goal_id="g1", goal="?", status="accepted", created_at=NOW)] if self.stored else []
            return GoalsListed(goals=tuple(known))
        assert isinstance(command, EventsSince)
        later = tuple(e for e in self.stored if e.seq > command.after)
        return EventsListed(goal_id="g1", status="done" if over else "researching", events=later)

    @asynccontextmanager
    async def watch(self, subject: str, *_: Any) -> AsyncIterator[asyncio.Queue[Event]]:
        queue: asyncio.Queue[Event] = asyncio.Queue()
        for item in self.live:
            queue.put_nowait(item)
        yield queue


async def followed(client: FakePlanner, *, after: int | None = None) -> list[Any]:
    async with asyncio.timeout(10), following(client, "g1", after=after) as follower:  # type: ignore[arg-type]
        follower.quiet_s = 0.01
        return [item async for item in follower]


def seqs(items: list[Any]) -> list[int]:
    return [item.seq for item in items if isinstance(item, GoalEvent)]


STORY = [event(1), event(2), event(3), event(4, "goal_completed")]


async def test_live_events_are_enough() -> None:
    assert seqs(await followed(FakePlanner(live=list(STORY)))) == [1, 2, 3, 4]


async def test_what_the_connection_lost_comes_from_the_planner() -> None:
    assert seqs(await followed(FakePlanner(stored=STORY, live=[event(1), event(4, "goal_completed")]))) == [1, 2, 3, 4]


async def test_a_goal_that_ended_unheard_ends_here_too() -> None:
    assert seqs(await followed(FakePlanner(stored=STORY))) == [1, 2, 3, 4]


async def test_doubled_events_are_seen_once() -> None:
    doubled: list[Event] = [event(1), event(1), event(2), event(1), event(3), STORY[3]]
    assert seqs(await followed(FakePlanner(live=doubled))) == [1, 2, 3, 4]


async def test_a_watch_begins_where_it_is_told_to() -> None:
    assert seqs(await followed(FakePlanner(stored=STORY), after=2)) == [3, 4]


async def test_silence_is_shown_and_a_planner_that_is_away_is_waited_for() -> None:
    items = await followed(FakePlanner(stored=STORY, refusals=3))
    assert sum(isinstance(item, Quiet) for item in items) >= 3
    assert seqs(items) == [1, 2, 3, 4]


async def test_an_unknown_goal_is_not_asked_about() -> None:
    client = FakePlanner()
    async with following(client, "g1") as follower:  # type: ignore[arg-type]
        follower.quiet_s = 0.01
        async for item in follower:
            assert isinstance(item, Quiet)
            break
    assert [type(command) for command in client.asked] == [ListGoals]


async def test_signs_of_life_pass_through() -> None:
    sign = StepProgress(goal_id="g1", step="s1", worker="w", text="3 tokens")
    assert sign in await followed(FakePlanner(live=[event(1), sign, *STORY[1:]]))


@given(st.lists(st.integers(1, 30)))
def test_any_order_any_doubles_become_one_sequence(arrivals: list[int]) -> None:
    sequence = Sequence()
    seen = [e.seq for seq in arrivals for e in sequence.add(event(seq))]
    assert seen == list(range(1, len(seen) + 1))
    assert sequence.gap == (bool(arrivals) and max(arrivals) > len(seen))


async def test_an_end_after_which_the_goal_was_begun_again_is_not_the_end() -> None:
    twice = [*STORY[:3], event(4, "goal_failed"), event(5, "goal_retried"), event(6), event(7, "goal_completed")]
    assert seqs(await followed(FakePlanner(stored=twice))) == [1, 2, 3, 4, 5, 6, 7]
    assert seqs(await followed(FakePlanner(stored=twice[:5], live=twice[5:]), after=0)) == [1, 2, 3, 4, 5, 6, 7]
