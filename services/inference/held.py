"""Calls that wait for a host which is away: which ones, and what those are told who wait for them."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from sqlalchemy import select

from services.inference.away import Hold, in_time
from services.inference.engines import Engines
from services.inference.generation import Choice
from services.inference.rows import Row
from services.inference.tables import generations
from shared.contracts.generation import Generate
from shared.contracts.goals import StepProgress
from shared.errors import WarrenError
from shared.messaging.asyncio_engine import AsyncConnection
from shared.messaging.database import Database
from shared.runtime.service import Publisher

log = structlog.get_logger()


@dataclass
class Held:
    """Of this replica. Each replica tells of the calls that wait; nothing of it is kept."""

    engines: Engines
    clock: Callable[[], datetime]
    calls: dict[str, Hold] = field(default_factory=dict)
    _steps: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Goal and step by call: they do not change."""

    def choices(self, rows: Sequence[Row]) -> dict[str, Choice]:
        """Where each call is to be made; `calls` are those of them that wait for it. Who has no time left waits no
        more, and fails with what is wrong."""
        before, self.calls, found = self.calls, {}, {}
        for row in rows:
            hold = None
            engine = row.route if row.route and row.engine != "auto" else row.engine
            follows = self.engines.routes.after(engine, row.tried)  # who can go on does not wait for a host
            if in_time(row, self.clock()) and not follows:
                hold = self.engines.hold(engine, avoid=row.avoid, sensitivity=row.sensitivity)
            if hold:
                self.calls[row.id], found[row.id] = hold, hold.choice
            else:
                found[row.id] = self.engines.choose(
                    row.engine, avoid=row.avoid, sensitivity=row.sensitivity, route=row.route
                )
        for call in self.calls.keys() - before.keys():
            log.info("call_held", call=call, reason=self.calls[call].says())
        self._steps = {call: step for call, step in self._steps.items() if call in self.calls}
        return found

    async def tell(self, database: Database, publisher: Publisher, worker: str) -> None:
        """A sign of life for each step that waits."""
        if missing := self.calls.keys() - self._steps.keys():
            async with database.read() as connection:
                self._steps |= await _steps_of(connection, missing)
        waits = {self._steps[call]: hold.says() for call, hold in self.calls.items() if call in self._steps}
        for (goal, step), text in waits.items():
            sign = StepProgress(goal_id=goal, step=step, worker=worker, text=text)
            with contextlib.suppress(WarrenError):
                await publisher.publish(sign, subject=goal)


async def _steps_of(connection: AsyncConnection, calls: set[str]) -> dict[str, tuple[str, str]]:
    query = select(generations.c.id, generations.c.request).where(generations.c.id.in_(calls))
    keys = [(row.id, Generate.model_validate_json(row.request).call) for row in await connection.execute(query)]
    return {call: (key.goal_id, key.step) for call, key in keys}
