"""Findings of finished goals in the database, and the pins that keep the texts they cite."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import and_, delete, exists, select
from sqlalchemy.engine import Row

from services.memory.tables import findings, pages, pins, put
from shared.contracts.evidence import Evidence
from shared.contracts.findings import Forget, Remember, RememberedFinding
from shared.messaging.asyncio_engine import AsyncConnection


@dataclass(frozen=True)
class FindingStore:
    """Named questions and changes. Those that change return the (namespace, goal id) pairs that they touched."""

    async def remember(
        self, connection: AsyncConnection, message: Remember, *, now: float, keep: int
    ) -> set[tuple[str, str]]:
        """Replaces what this goal had remembered; the oldest beyond `keep` in its namespace go. Twice is harmless."""
        mine = and_(findings.c.namespace == message.namespace, findings.c.goal_id == message.goal_id)
        await connection.execute(delete(findings).where(mine))
        rows = list(_rows(message, now=now))
        await put(connection, findings, rows)
        await put(connection, pins, _pins(message))
        touched = {(message.namespace, message.goal_id)} | await self._forget_oldest(
            connection, message.namespace, keep=keep
        )
        await self._unpin(connection, message.namespace, {goal_id for _, goal_id in touched})
        return touched

    async def forget(self, connection: AsyncConnection, message: Forget) -> tuple[int, set[tuple[str, str]]]:
        """Returns how many findings it forgot, too."""
        which = findings.c.namespace == message.namespace
        if message.finding_id is not None:
            which = and_(which, findings.c.finding_id == message.finding_id)
        elif message.goal_id is not None:
            which = and_(which, findings.c.goal_id == message.goal_id)
        gone = (await connection.execute(delete(findings).where(which).returning(findings.c.goal_id))).scalars().all()
        await self._unpin(connection, message.namespace, set(gone))
        return len(gone), {(message.namespace, goal_id) for goal_id in gone}

    async def newest(self, connection: AsyncConnection, namespace: str, *, limit: int) -> list[RememberedFinding]:
        query = select(findings).where(findings.c.namespace == namespace)
        newest = query.order_by(findings.c.at.desc(), findings.c.goal_id, findings.c.number).limit(limit)
        return [_finding(row) for row in await connection.execute(newest)]

    async def by_id(self, connection: AsyncConnection, ids: Collection[str]) -> dict[str, RememberedFinding]:
        found: dict[str, RememberedFinding] = {}
        for some in pages(ids):
            query = select(findings).where(findings.c.finding_id.in_(some))
            found.update((row.finding_id, _finding(row)) for row in await connection.execute(query))
        return found

    async def of_goals(
        self, connection: AsyncConnection, goals: Collection[str]
    ) -> list[tuple[RememberedFinding, tuple[str, ...]]]:
        """The findings of these goals in every namespace, each with the corpora it was made over."""
        found: list[tuple[RememberedFinding, tuple[str, ...]]] = []
        for some in pages(goals):
            rows = await connection.execute(select(findings).where(findings.c.goal_id.in_(some)))
            found.extend((_finding(row), tuple(json.loads(row.corpora))) for row in rows)
        return found

    async def _forget_oldest(self, connection: AsyncConnection, namespace: str, *, keep: int) -> set[tuple[str, str]]:
        mine = select(findings.c.finding_id, findings.c.goal_id).where(findings.c.namespace == namespace)
        order = (findings.c.at.desc(), findings.c.goal_id, findings.c.number)
        old = (await connection.execute(mine.order_by(*order).offset(keep))).all()
        for keys in pages([row.finding_id for row in old]):
            await connection.execute(delete(findings).where(findings.c.finding_id.in_(keys)))
        return {(namespace, row.goal_id) for row in old}

    async def _unpin(self, connection: AsyncConnection, namespace: str, goals: Collection[str]) -> None:
        """Those of these goals of which nothing is remembered pin nothing. Only these: there may be a million pins."""
        held = exists().where(findings.c.goal_id == pins.c.goal_id, findings.c.namespace == pins.c.namespace)
        for some in pages(goals):
            await connection.execute(delete(pins).where(pins.c.namespace == namespace, pins.c.goal_id.in_(some), ~held))


def _rows(message: Remember, *, now: float) -> list[dict[str, Any]]:
    evidence = {piece.evidence_id: piece for piece in message.evidence}
    rows = []
    for number, finding in enumerate(message.findings):
        cited = [evidence[key] for key in finding.evidence_ids if key in evidence]
        rows.append(
            {
                "finding_id": _finding_id(message, number, finding.text),
                "goal_id": message.goal_id,
                "namespace": message.namespace,
                "number": number,
                "goal": message.goal,
                "text": finding.text,
                "corpora": json.dumps(sorted(message.corpora)),
                "evidence": json.dumps([piece.model_dump(mode="json") for piece in cited]),
                "at": now,
            }
        )
    return rows


def _pins(message: Remember) -> list[dict[str, Any]]:
    cited = sorted({piece.sha256 for piece in message.evidence})
    return [{"text_sha256": key, "namespace": message.namespace, "goal_id": message.goal_id} for key in cited]


def _finding_id(message: Remember, number: int, text: str) -> str:
    """The same finding of the same goal has the same id, however often it is remembered."""
    name = f"{message.namespace}\x1f{message.goal_id}\x1f{number}\x1f{text}"
    return "f" + sha256(name.encode()).hexdigest()[:12]


def _finding(row: Row[Any]) -> RememberedFinding:
    return RememberedFinding(
        finding_id=row.finding_id,
        goal_id=row.goal_id,
        namespace=row.namespace,
        goal=row.goal,
        text=row.text,
        evidence=tuple(Evidence.model_validate(piece) for piece in json.loads(row.evidence)),
        at=datetime.fromtimestamp(row.at, tz=UTC),
    )
