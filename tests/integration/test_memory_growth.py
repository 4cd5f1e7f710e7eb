"""A library that remembers ten thousand goals: upkeep and remembering stay as quick as they were."""

import asyncio
import time
from pathlib import Path
from uuid import uuid4

from sqlalchemy import func, insert, select

from services.memory.finding_store import FindingStore
from services.memory.store import CHANGES_KEPT, LibraryStore
from services.memory.tables import changes, findings, pins, schema
from shared.contracts.evidence import Finding
from shared.contracts.findings import Remember
from shared.messaging.database import Database
from shared.messaging.envelope import Outgoing
from shared.messaging.publish import Stamp

GOALS, PER_GOAL = 10_000, 3
DEADLINE_S = 60.0
"""It takes a second or two; comparing every change with every finding took minutes."""


async def _nowhere(out: Outgoing) -> None:
    raise AssertionError(f"nothing is published here: {out.type}")


async def test_upkeep_and_remembering_do_not_grow_with_the_square_of_what_is_remembered(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/memory.db", schema(), stamp=Stamp("memory", "memory-1"))
    await database.open(_nowhere)
    library, store = LibraryStore(), FindingStore()
    names = [f"goal-{number:05}" for number in range(GOALS)]
    kept = [
        {
            "finding_id": uuid4().hex, "goal_id": name, "namespace": "default", "number": number, "goal": "?",
            "text": "A queue is long.", "corpora": "[]", "evidence": "[]", "at": time.time(),
        }
        for name in names[1000:] for number in range(PER_GOAL)
    ]  # fmt: skip
    try:
        async with asyncio.timeout(DEADLINE_S):
            async with database.unit(long=True) as unit:
                await unit.connection.execute(insert(findings), kept)
                of_all = [{"text_sha256": name, "namespace": "default", "goal_id": name} for name in names]
                await unit.connection.execute(insert(pins), of_all)
                await library.change(unit.connection, [("findings", f"default/{name}") for name in names])
                for _ in range(CHANGES_KEPT + 1):  # so that these are old
                    await library.change(unit.connection, [("corpus", "papers")])
            async with database.unit(long=True) as unit:
                await library.purge(unit.connection, before=0.0)
            for name in ("goal-02000", "goal-03000"):
                said = Remember(
                    goal_id=name, goal="?", findings=(Finding(text="It is short.", evidence_ids=()),), evidence=()
                )
                async with database.unit() as unit:
                    await store.remember(unit.connection, said, now=time.time(), keep=GOALS * PER_GOAL)
        async with database.read() as connection:
            told = select(changes.c.key).where(changes.c.kind == "findings").order_by(changes.c.key)
            assert (await connection.execute(told)).scalars().all() == [f"default/{name}" for name in names[1000:]]
            held = (await connection.execute(select(func.count()).select_from(pins))).scalar_one()
            assert held == GOALS  # of the thousand that are forgotten, too: nobody has touched those
    finally:
        await database.close()
