"""Questions about goals: read only, answered at once."""

from collections.abc import Callable
from dataclasses import dataclass

from services.planner.goal import summary_of, view_of
from services.planner.plan import deterministic_plan, problems
from services.planner.store import Goals
from shared.contracts.generation import DescribeEngine, EngineDescribed
from shared.contracts.goals import (
    EventsListed,
    EventsSince,
    GoalPreviewed,
    GoalShown,
    GoalsListed,
    ListGoals,
    PreviewGoal,
    ShowGoal,
    SubmitGoal,
)
from shared.errors import Rejected
from shared.messaging.database import Database
from shared.messaging.envelope import Envelope
from shared.messaging.request import Requests


@dataclass(frozen=True)
class Queries:
    database: Database
    requests: Requests
    labelled: Callable[[SubmitGoal], SubmitGoal] = lambda goal: goal

    async def on_list_goals(self, message: ListGoals, _: Envelope) -> GoalsListed:
        async with self.database.read() as connection:
            goals = Goals(connection)
            found = await goals.newest(limit=message.limit, status=message.status)
            return GoalsListed(goals=tuple([summary_of(g, await goals.steps(g.goal_id, g.run)) for g in found]))

    async def on_show_goal(self, message: ShowGoal, _: Envelope) -> GoalShown:
        async with self.database.read() as connection:
            goals = Goals(connection)
            found = await goals.like(message.goal_id)
            if len(found) != 1:
                several = "several goals begin" if found else "no goal begins"
                raise Rejected(f"{several} with {message.goal_id}", field="goal_id", hint="`warren goals` lists them")
            goal = found[0]
            steps = await goals.steps(goal.goal_id, goal.run)
            views = tuple(view_of(step) for step in steps)
            return GoalShown(goal=summary_of(goal, steps), steps=views, bundle=goal.bundle)

    async def on_events_since(self, message: EventsSince, _: Envelope) -> EventsListed:
        async with self.database.read() as connection:
            goals = Goals(connection)
            goal = next(iter(await goals.like(message.goal_id)), None)
            if goal is None:
                raise Rejected(f"no goal {message.goal_id}", field="goal_id", hint="`warren goals` lists them")
            events = await goals.events_after(goal.goal_id, message.after, message.limit)
            return EventsListed(goal_id=goal.goal_id, status=goal.status, events=tuple(events))

    async def on_preview_goal(self, message: PreviewGoal, _: Envelope) -> GoalPreviewed:
        """Model calls at most: the plan, each step, each section, the summary, one repair a section."""
        goal = self.labelled(message.goal)
        wrong = problems(goal.steps, max_steps=goal.max_steps) if goal.steps is not None else []
        if wrong:
            raise Rejected(wrong[0], field=wrong[0].partition(":")[0])
        asked = DescribeEngine(engine=goal.engine, sensitivity=goal.sensitivity)
        engine = await self.requests.ask(asked, EngineDescribed)
        steps = goal.steps or deterministic_plan(goal.goal, max_steps=goal.max_steps)
        calls = 0 if engine.engine == "extractive" else (0 if goal.steps else 1) + 3 * len(steps) + 1
        return GoalPreviewed(steps=steps, model_calls=calls, engine=engine.engine, engine_reason=engine.reason)
