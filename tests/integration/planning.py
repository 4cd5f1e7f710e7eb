"""A planner on a database of its own, agents played by the test. No broker: the relay is caught."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData

from services.planner.handlers import Handlers
from services.planner.planning import Planning
from services.planner.settings import Settings
from services.planner.tables import TABLES
from shared.contracts.evidence import Finding
from shared.contracts.generation import EngineDescribed
from shared.contracts.goals import SubmitGoal
from shared.contracts.message import Message
from shared.contracts.steps import RunStep, StepFinished, StepResult
from shared.messaging.database import Database
from shared.messaging.envelope import Envelope, Outgoing
from shared.messaging.publish import Stamp

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Planner:
    """Handlers over a database; `said` is everything that was published, in order."""

    database: Database
    handlers: Handlers
    clock: list[datetime]
    said: list[Outgoing] = field(default_factory=list)
    counter: int = 0

    @property
    def planning(self) -> Planning:
        return Planning(self.handlers)

    async def hear(self, message: Message, handler: Callable[..., Any], **envelope: Any) -> None:
        self.counter += 1
        properties = {"message_id": f"m{self.counter}", "type": message.type_name(), **envelope}
        await self.database.apply(lambda unit: handler(message, unit), Envelope(**properties))
        await self.database.relay.drain(5)

    def of(self, kind: type[Message]) -> list[Any]:
        return [kind.model_validate_json(out.body) for out in self.said if out.type == kind.type_name()]

    async def goal(self, **more: Any) -> str:
        submitted = SubmitGoal(**{"goal": "What is a lease?", **more})
        await self.hear(submitted, self.handlers.on_submit_goal, reply_to="client.me", correlation_id="c1")
        return str(self.events()[-1]["goal_id"])

    async def engine(self, goal_id: str, engine: str = "extractive", **more: Any) -> None:
        described = EngineDescribed(engine=engine, **more)
        await self.hear(described, self.planning.on_engine_described, headers={"goal_id": goal_id})

    async def finish(self, step: RunStep, *, fence: int | None = None, **more: Any) -> None:
        result = StepResult(step=step.step, question=step.question, findings=(Finding(text="t", evidence_ids=()),))
        values = {"result": result, "fence": step.fence if fence is None else fence, "worker": "w", **more}
        finished = StepFinished(goal_id=step.goal_id, run=step.run, step=step.step, **values)
        await self.hear(finished, self.handlers.on_step_finished)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(out.body) for out in self.said if out.type == "goal_event.v1"]

    def told(self) -> list[str]:
        return [event["event"] for event in self.events()]


@pytest.fixture
async def planner(tmp_path: Path) -> AsyncIterator[Planner]:
    url = f"sqlite+aiosqlite:///{tmp_path}/planner.db"
    database = Database(url, _copy(), stamp=Stamp("planner", "p1"))
    clock = [NOW]
    planner = Planner(database, Handlers(Settings(home=tmp_path, active_goals=2), lambda: clock[0]), clock)

    async def publish(out: Outgoing) -> None:
        planner.said.append(out)

    await database.open(publish)
    tasks = [asyncio.create_task(database.run()), asyncio.create_task(database.relay.run())]
    yield planner
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await database.close()


def _copy() -> MetaData:
    """Tables of its own: what messaging adds to them belongs to one database."""
    metadata = MetaData()
    for name, table in TABLES.tables.items():
        if name not in ("inbox", "outbox", "schema_version"):
            table.to_metadata(metadata)
    return metadata
