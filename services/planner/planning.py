"""How a goal gets its plan: an engine, open corpora, and steps that a model or rules have made."""

from dataclasses import dataclass

from services.planner.goal import Goal
from services.planner.handlers import Handlers
from services.planner.progress import Progress
from services.planner.prompt import MAX_ATTEMPTS, read_plan
from services.planner.rows import replace
from shared.contracts.generation import EngineDescribed, Generated
from shared.contracts.library import CorporaOpened
from shared.contracts.message import Refused
from shared.contracts.steps import StepUsage
from shared.messaging.database import Unit


@dataclass(frozen=True)
class Planning:
    """The answers to what was asked when the goal was admitted. `handlers`: for their settings and clock."""

    handlers: Handlers

    async def on_engine_described(self, message: EngineDescribed, unit: Unit) -> None:
        progress = self.handlers.progress(unit)
        goal = await _planning(progress, unit.envelope.goal_id)
        if goal is None or goal.engine is not None:
            return
        if not message.usable:
            await progress.end(goal, "failed", reason=message.reason or f"engine {message.engine} cannot be used")
            return
        await progress.engine_chosen(goal, message.engine, reason=message.reason)

    async def on_corpora_opened(self, message: CorporaOpened, unit: Unit) -> None:
        progress = self.handlers.progress(unit)
        goal = await _planning(progress, message.goal_id)
        if goal is None:
            return
        if message.missing:
            known = ", ".join(message.known[:20]) or "none yet"
            missing = ", ".join(message.missing)
            await progress.end(goal, "failed", reason=f"no corpus {missing}; there is: {known} (`warren corpus add`)")
            return
        goal = replace(goal, corpora_open=True, watermark=message.watermark)
        progress.goals.save(goal)
        await progress.research(goal)

    async def on_generated(self, message: Generated, unit: Unit) -> None:
        """A model's plan: checked, asked again with the error text, at last replaced by the deterministic one."""
        progress = self.handlers.progress(unit)
        goal = await _planning(progress, message.call.goal_id)
        if goal is None or message.call.ordinal != goal.plan_attempts:
            return
        if await progress.goals.steps(goal.goal_id, goal.run):
            return
        goal = replace(goal, planning=_with(goal.planning, message))
        if message.finish != "stop":
            await self._no_plan(progress, goal, message)
            return
        plan, wrong = read_plan(message.text, goal=goal.submitted.goal, max_steps=goal.submitted.max_steps)
        if not wrong:
            await progress.planned(goal, plan, by="model")
            return
        goal = replace(goal, plan_attempts=goal.plan_attempts + 1)
        goal = await progress.event(goal, "plan_rejected", attempt=goal.plan_attempts, reason=wrong)
        if goal.plan_attempts < MAX_ATTEMPTS:
            await progress.ask_for_plan(goal, wrong=wrong, answer=message.text)
        else:
            await progress.planned_deterministically(goal)

    async def _no_plan(self, progress: Progress, goal: Goal, message: Generated) -> None:
        if message.finish == "failed" and goal.submitted.engine != "auto":
            await progress.end(goal, "failed", reason=message.error or "the model failed")
            return
        reason = message.error or f"the model's answer ended with {message.finish}"
        goal = await progress.event(goal, "plan_rejected", attempt=goal.plan_attempts + 1, reason=reason)
        await progress.planned_deterministically(goal)

    async def on_refused(self, message: Refused, unit: Unit) -> None:
        """One of the planner's own requests was refused: without its answer there is no plan."""
        progress = self.handlers.progress(unit)
        goal = await _planning(progress, unit.envelope.goal_id)
        if goal:
            await progress.end(goal, "failed", reason=f"planning failed: {message.reason}")


async def _planning(progress: Progress, goal_id: str | None) -> Goal | None:
    goal = await progress.goals.get(goal_id) if goal_id else None
    return replace(goal, messages=goal.messages + 1) if goal and goal.status == "planning" else None


def _with(cost: StepUsage, answer: Generated) -> StepUsage:
    """What making the plan has cost, with this answer."""
    usage = answer.usage
    return StepUsage(
        calls=cost.calls + 1,
        tokens_in=cost.tokens_in + usage.tokens_in,
        tokens_out=cost.tokens_out + usage.tokens_out,
        model_s=round(cost.model_s + answer.timings.total_s, 3),
    )
