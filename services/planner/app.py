"""Where the planner's things meet."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from services.planner.crashes import Crashes
from services.planner.handlers import Handlers, refuse
from services.planner.parking import Parking
from services.planner.planning import Planning
from services.planner.queries import Queries
from services.planner.redrive import Redrive
from services.planner.settings import Settings
from services.planner.store import Goals
from services.planner.tables import TABLES
from services.planner.workbench import Workbench
from shared.contracts.dead_letters import (
    DropDeadLetters,
    EditDeadLetter,
    ListDeadLetters,
    RetryDeadLetters,
    ShowDeadLetter,
)
from shared.contracts.generation import EngineDescribed, Generated
from shared.contracts.goals import CancelGoal, EventsSince, ListGoals, PreviewGoal, ShowGoal, SubmitGoal
from shared.contracts.library import CorporaOpened
from shared.contracts.message import Done, Refused
from shared.contracts.redrive import RetryGoal
from shared.contracts.steps import AgentAnnounced, ClaimStep, RenewStep, StepFinished
from shared.contracts.supervision import ChildDied
from shared.crashpoints import reached
from shared.messaging.topology import DEAD_LETTERS, PLANNER
from shared.runtime.service import Service

log = structlog.get_logger()
PURGE_S = 3600.0


def build(settings: Settings, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Service:
    service = Service("planner", settings, tables=TABLES)
    service.refusal = refuse
    handlers = Handlers(settings, clock)
    planning = Planning(handlers)
    queries = Queries(service.database, service.requests, handlers.labelled)
    parking = Parking(service.database, handlers, clock)
    workbench = Workbench()

    service.apply(PLANNER, SubmitGoal, handlers.on_submit_goal)
    service.apply(PLANNER, CancelGoal, handlers.on_cancel_goal)
    service.apply(PLANNER, RetryGoal, Redrive(handlers).on_retry_goal)
    service.apply(PLANNER, EngineDescribed, planning.on_engine_described)
    service.apply(PLANNER, CorporaOpened, planning.on_corpora_opened)
    service.apply(PLANNER, Generated, planning.on_generated)
    service.apply(PLANNER, Refused, planning.on_refused)
    service.apply(PLANNER, Done, _ignore)
    service.apply(PLANNER, ClaimStep, handlers.on_claim_step)
    service.apply(PLANNER, RenewStep, handlers.on_renew_step, once=False)
    service.apply(PLANNER, StepFinished, handlers.on_step_finished)
    service.apply(PLANNER, ChildDied, Crashes(handlers, clock).on_child_died)
    service.apply(PLANNER, AgentAnnounced, _ignore, once=False)
    service.subscribe(PLANNER, ListGoals, queries.on_list_goals)
    service.subscribe(PLANNER, ShowGoal, queries.on_show_goal)
    service.subscribe(PLANNER, EventsSince, queries.on_events_since)
    service.subscribe(PLANNER, PreviewGoal, queries.on_preview_goal)
    service.subscribe(PLANNER, ListDeadLetters, parking.on_list)
    service.subscribe(PLANNER, ShowDeadLetter, parking.on_show)
    service.apply(PLANNER, RetryDeadLetters, workbench.on_retry)
    service.apply(PLANNER, EditDeadLetter, workbench.on_edit)
    service.apply(PLANNER, DropDeadLetters, workbench.on_drop)
    service.drain_raw(DEAD_LETTERS, parking.on_dead_letter)
    service.background(lambda: _tick(service, handlers, settings))
    service.background(lambda: _purge(service, settings, clock))
    return service


async def _tick(service: Service, handlers: Handlers, settings: Settings) -> None:
    while True:
        await asyncio.sleep(settings.tick.total_seconds())
        reached("tick")
        try:
            async with service.database.unit() as unit:
                await handlers.on_tick(unit)
        except Exception as error:  # a database that is away for a moment: the next tick does it
            log.warning("tick_failed", reason=f"{type(error).__name__}: {error}")


async def _purge(service: Service, settings: Settings, clock: Callable[[], datetime]) -> None:
    while True:
        await service.database.purge()
        async with service.database.unit(long=True) as unit:
            await unit.state(Goals).purge(clock() - settings.goals_kept)
        await asyncio.sleep(PURGE_S)


async def _ignore(*_: object) -> None:
    """Replies to fire-and-forget commands, and announcements that nothing depends on yet."""
