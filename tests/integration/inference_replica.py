"""A replica of inference on a database of its own or a shared one. No broker: what it publishes is caught."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import create_async_engine

from services.inference.calls import Calls
from services.inference.embedding import Batchers
from services.inference.engines import Engines
from services.inference.handlers import Inference
from services.inference.scripted import Script
from services.inference.store import Ledger
from services.inference.tables import MIGRATIONS, TABLES
from shared.contracts.generation import Generate, Generated
from shared.contracts.message import Message
from shared.messaging.database import Database
from shared.messaging.envelope import Envelope, Outgoing
from shared.messaging.publish import Stamp
from tests.integration import engines
from tests.unit.inference.requests import generate

IMAGE = "pgvector/pgvector:pg17"


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    engines.need_docker()
    from testcontainers.community.postgres import PostgresContainer

    with PostgresContainer(IMAGE, driver="asyncpg") as server:
        yield server.get_connection_url()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.docker)])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/inference.db"
    address = str(request.getfixturevalue("postgres"))
    engine = create_async_engine(address)
    async with engine.begin() as connection:
        await connection.execute(text("DROP SCHEMA IF EXISTS inference CASCADE"))
    await engine.dispose()
    return address


@dataclass
class Postbox:
    """Takes what the relay publishes. `replies` by the message id of their request."""

    sent: list[Outgoing] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def publish(self, out: Outgoing) -> None:
        async with self.changed:
            self.sent.append(out)
            self.changed.notify_all()

    def replies(self, message_id: str) -> list[Generated]:
        found = [o for o in self.sent if o.headers.get("causation_id") == message_id and o.type == "generated.v1"]
        return [Generated.model_validate_json(out.body) for out in found]

    async def reply(self, message_id: str) -> Generated:
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(lambda: self.replies(message_id))
        return self.replies(message_id)[-1]


@dataclass
class Silent:
    """A publisher of signs of life that keeps what it was given."""

    said: list[Message] = field(default_factory=list)

    async def publish(self, message: Message, **_: Any) -> None:
        self.said.append(message)


@dataclass
class Mesh:
    """One inference instance without a broker."""

    database: Database
    postbox: Postbox
    inference: Inference
    calls: Calls
    signs: Silent

    async def ask(self, request: Generate, message_id: str = "") -> str:
        envelope = Envelope(message_id=message_id or str(uuid4()), reply_to="client.x", correlation_id="c")
        await self.database.apply(lambda unit: self.inference.on_generate(request, unit), envelope, once=False)
        return envelope.message_id


@asynccontextmanager
async def mesh(
    url: str,
    *,
    script: Path | None = None,
    name: str = "inference-1",
    run: bool = True,
    engines: Engines | None = None,
) -> AsyncIterator[Mesh]:
    """With these engines, or the scripted one."""
    database = Database(url, _tables(), stamp=Stamp("inference", name), migrations=MIGRATIONS)
    postbox, signs = Postbox(), Silent()
    await database.open(postbox.publish)
    configured = "scripted" if script else "extractive"
    engines = engines or Engines(ollama=(), script=Script(script), configured=configured)
    ledger = Ledger()
    calls = Calls(database, ledger, engines, signs, name, _now, lease=timedelta(seconds=1))  # type: ignore[arg-type]
    works = [database.run(), database.relay.run(), *([calls.run()] if run else [])]
    tasks = [asyncio.create_task(work) for work in works]
    try:
        inference = Inference(database, ledger, engines, calls, _now, Batchers(engines.embed))
        yield Mesh(database, postbox, inference, calls, signs)
    finally:
        for task in reversed(tasks):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await database.close()


def _tables() -> Any:
    """A copy: each database adds its inbox and outbox to the metadata it is given."""
    copy = MetaData()
    for table in TABLES.tables.values():
        if table.name in ("generations", "waiters", "savings"):
            table.to_metadata(copy)
    return copy


def _now() -> datetime:
    return datetime.now(UTC)


def fresh(**changes: Any) -> Generate:
    """A call that nobody made before."""
    return generate(goal_id=str(uuid4()), **changes)


def scripted(folder: Path, **script: Any) -> Path:
    path = folder / "script.json"
    path.write_text(json.dumps(script))
    return path


def calls_of(script: Path) -> int:
    path = Path(f"{script}.calls")
    return len(path.read_text().splitlines()) if path.exists() else 0
