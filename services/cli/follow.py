"""Following a goal: stored events and live ones as one sequence, nothing missed, nothing twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

from services.cli.connection import MeshClient
from shared.contracts.goals import ENDED, EventsListed, EventsSince, GoalEvent, GoalsListed, ListGoals, StepProgress
from shared.contracts.message import Event
from shared.errors import NoReply, RequestFailed

QUIET_S = 1.0
"""Seconds without news after which the planner is asked, for as long again: a sign of life every two seconds."""
ENDINGS = frozenset({"goal_completed", "goal_failed", "goal_cancelled"})
BEGUN_AGAIN = "goal_retried"


class Quiet:
    """Nothing has happened for a while."""


@dataclass
class Sequence:
    """Puts events in order by `seq`, drops what was there before, and holds what comes after a gap."""

    after: int = 0
    _held: dict[int, GoalEvent] = field(default_factory=dict)

    def add(self, event: GoalEvent) -> list[GoalEvent]:
        """The events that are next, now that this one is here."""
        if event.seq > self.after:
            self._held[event.seq] = event
        ready = []
        while (event_ := self._held.pop(self.after + 1, None)) is not None:
            ready.append(event_)
            self.after += 1
        return ready

    @property
    def gap(self) -> bool:
        """Something came, but what goes before it has not."""
        return bool(self._held)


@dataclass
class Follower:
    """Yields GoalEvent in order, StepProgress as it comes, Quiet while nothing comes; ends with the goal."""

    client: MeshClient
    goal_id: str
    news: asyncio.Queue[Event]
    sequence: Sequence = field(default_factory=Sequence)
    quiet_s: float = QUIET_S
    accepted: bool = False
    """The planner has the goal: ask it first, rather than after the first silence."""

    async def __aiter__(self) -> AsyncIterator[GoalEvent | StepProgress | Quiet]:
        wait_s = 0.0 if self.accepted else self.quiet_s
        over = False
        while not over:
            try:
                news = await asyncio.wait_for(self.news.get(), wait_s)
            except TimeoutError:
                ready, over = await self._stored()
                ready = ready or ([] if over or not wait_s else [Quiet()])
                wait_s = self.quiet_s
            else:
                ready = await self._in_order(news)
            for item in ready:
                yield item
            over = over or ended(ready)

    async def _in_order(self, news: Event) -> list[GoalEvent | StepProgress | Quiet]:
        if isinstance(news, StepProgress):
            return [news]
        if not isinstance(news, GoalEvent):
            return []
        self.accepted = True
        ready: list[GoalEvent | StepProgress | Quiet] = [*self.sequence.add(news)]
        if self.sequence.gap:
            ready += (await self._stored())[0]
        return ready

    async def _stored(self) -> tuple[list[GoalEvent | StepProgress | Quiet], bool]:
        """What the planner has beyond what we saw; and whether that is all there will ever be."""
        ready: list[GoalEvent | StepProgress | Quiet] = []
        try:
            if not await self._accepted():
                return ready, False
            while True:
                listed, before = await self._listed(), self.sequence.after
                for event in listed.events:
                    ready += self.sequence.add(event)
                if self.sequence.after == before:
                    return ready, listed.status in ENDED
        except (RequestFailed, NoReply):  # not accepted yet, or the planner is being restarted: ask again later
            return ready, False

    async def _accepted(self) -> bool:
        """Does the planner know the goal? A question about an unknown one would be refused, and parked as such."""
        if not self.accepted:
            newest = await self.client.ask(ListGoals(limit=200), GoalsListed, deadline_s=QUIET_S)
            self.accepted = any(goal.goal_id == self.goal_id for goal in newest.goals)
        return self.accepted

    async def _listed(self) -> EventsListed:
        return await self.client.ask(
            EventsSince(goal_id=self.goal_id, after=self.sequence.after), EventsListed, deadline_s=QUIET_S
        )


def ended(items: Iterable[object]) -> bool:
    """Does the goal end with these? An end after which it was begun again is none."""
    turns = [item.event for item in items if isinstance(item, GoalEvent) and item.event in {*ENDINGS, BEGUN_AGAIN}]
    return bool(turns) and turns[-1] in ENDINGS


@contextlib.asynccontextmanager
async def following(client: MeshClient, goal_id: str, *, after: int | None = None) -> AsyncIterator[Follower]:
    """Watches from now on; iterate over what it yields. `after`: begin with what the planner has beyond this number."""
    async with client.watch(goal_id, GoalEvent, StepProgress) as news:
        yield Follower(client, goal_id, news, Sequence(after or 0), accepted=after is not None)
