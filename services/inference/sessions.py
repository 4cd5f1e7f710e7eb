"""Sessions in inference's database: settings and turns, kept once, forgotten when nobody has used them for long."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Column, DateTime, ForeignKey, Integer, String, Table, Text, delete, func, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from services.inference.tables import TABLES
from shared.contracts.message import Done, Refused
from shared.contracts.sensitivity import strictest
from shared.contracts.sessions import (
    DropSession,
    KeepTurn,
    ListSessions,
    OpenSession,
    Session,
    SessionShown,
    SessionsListed,
    ShowSession,
    Turn,
)
from shared.errors import Retryable
from shared.messaging.asyncio_engine import AsyncConnection
from shared.messaging.database import Database, Unit
from shared.messaging.envelope import Envelope

log = structlog.get_logger()
PURGE_S = 3600.0
SHOWN_CHARACTERS = 300_000
"""Of all turns in one message: at most 4 bytes each in JSON with room to spare below its limit of a megabyte, or six
where a character has to be escaped, which text hardly ever is."""
TITLE_CHARACTERS = 80

sessions = Table(
    "sessions",
    TABLES,
    Column("session_id", String(64), primary_key=True),
    Column("used_at", DateTime(timezone=True), nullable=False, index=True),
    Column("turns", Integer, nullable=False),
    Column("body", Text, nullable=False),
)
turns = Table(
    "turns",
    TABLES,
    Column("session_id", String(64), ForeignKey("sessions.session_id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("body", Text, nullable=False),
)


@dataclass(frozen=True)
class Sessions:
    """What inference does with each message about sessions. All may come twice."""

    database: Database
    clock: Callable[[], datetime]

    async def on_open(self, message: OpenSession, unit: Unit) -> SessionShown:
        """Of two that open it at once, both get the one that is there."""
        known = await _find(unit.connection, message.session.session_id, lock=True)
        if known is None:
            now = self.clock()
            known = message.session.model_copy(
                update={"created_at": now, "used_at": now, "turns": 0, "summary": None, "title": ""}
            )
            try:
                await unit.connection.execute(insert(sessions).values(_row(known)))
            except IntegrityError:  # opened by another replica at this moment: the transaction is void
                raise Retryable("the session was opened by somebody else just now") from None
        level = strictest(known.sensitivity, message.session.sensitivity)
        if level != known.sensitivity:
            known = known.model_copy(update={"sensitivity": level})
            here = sessions.c.session_id == known.session_id
            await unit.connection.execute(update(sessions).where(here).values(_row(known)))
        return SessionShown(session=known)

    async def on_keep(self, message: KeepTurn, unit: Unit) -> Done | Refused:
        session = await _find(unit.connection, message.session_id, lock=True)
        if session is None:
            return _missing(message.session_id)
        number = message.turn.number
        if number <= session.turns:
            kept = await _turn(unit.connection, message.session_id, number)
            if kept is not None and kept.question == message.turn.question:
                return Done(count=0)
            reason = f"turn {number} of this session is another question by now"
            return Refused(error="taken", reason=reason, field="turn.number", hint="read the session and ask again")
        if number > session.turns + 1:
            reason = f"turn {number} cannot follow turn {session.turns}"
            return Refused(error="not_next", reason=reason, field="turn.number", hint="keep the turns in order")
        row = {"session_id": message.session_id, "number": number, "body": message.turn.model_dump_json()}
        await unit.connection.execute(insert(turns).values(row))
        after = session.model_copy(
            update={
                "turns": number,
                "used_at": self.clock(),
                "title": session.title or _title(message.turn.question),
                "summary": message.summary or session.summary,
            }
        )
        here = sessions.c.session_id == message.session_id
        await unit.connection.execute(update(sessions).where(here).values(_row(after)))
        return Done(count=1)

    async def on_drop(self, message: DropSession, unit: Unit) -> Done:
        session = await _find(unit.connection, message.session_id, lock=True)
        await _drop(unit.connection, [message.session_id])
        return Done(count=session.turns if session else 0)

    async def on_show(self, message: ShowSession, _: Envelope) -> SessionShown | Refused:
        async with self.database.read() as connection:
            session = await _find(connection, message.session_id)
            if session is None:
                return _missing(message.session_id)
            query = select(turns.c.body).where(turns.c.session_id == message.session_id, turns.c.number > message.after)
            found: list[Turn] = []
            room = SHOWN_CHARACTERS
            for body in (await connection.execute(query.order_by(turns.c.number).limit(1000))).scalars():
                room -= len(body)
                if found and room < 0:
                    break
                found.append(Turn.model_validate_json(body))
        last = found[-1].number if found else max(message.after, session.turns)
        return SessionShown(session=session, turns=tuple(found), more=max(0, session.turns - last))

    async def on_list(self, message: ListSessions, _: Envelope) -> SessionsListed:
        query = select(sessions.c.body).order_by(sessions.c.used_at.desc(), sessions.c.session_id).limit(message.limit)
        async with self.database.read() as connection:
            bodies = (await connection.execute(query)).scalars().all()
            count = (await connection.execute(select(func.count()).select_from(sessions))).scalar_one()
        found = [Session.model_validate_json(body) for body in bodies]
        brief = [session.model_copy(update={"summary": None, "system": session.system[:200]}) for session in found]
        return SessionsListed(sessions=tuple(brief), more=count - len(found))

    async def forget(self, kept: timedelta) -> None:
        """For ever: drops the sessions that nobody has used for so long, in portions."""
        while True:
            try:
                async with self.database.unit(long=True) as unit:
                    dropped = await self.purge(unit.connection, kept)
            except (DBAPIError, OSError) as error:  # a database that is away for a moment
                log.warning("sessions_not_purged", reason=str(error))
                dropped = 0
            await asyncio.sleep(0 if dropped else PURGE_S)

    async def purge(self, connection: AsyncConnection, kept: timedelta, *, most: int = 100) -> int:
        """Returns how many it dropped, so many at most."""
        old = select(sessions.c.session_id).where(sessions.c.used_at < self.clock() - kept).limit(most)
        names = list((await connection.execute(old)).scalars())
        await _drop(connection, names)
        return len(names)


async def _find(connection: AsyncConnection, session_id: str, *, lock: bool = False) -> Session | None:
    query = select(sessions.c.body).where(sessions.c.session_id == session_id)
    body = (await connection.execute(query.with_for_update() if lock else query)).scalar()
    return Session.model_validate_json(body) if body else None


async def _turn(connection: AsyncConnection, session_id: str, number: int) -> Turn | None:
    query = select(turns.c.body).where(turns.c.session_id == session_id, turns.c.number == number)
    body = (await connection.execute(query)).scalar()
    return Turn.model_validate_json(body) if body else None


async def _drop(connection: AsyncConnection, names: list[str]) -> None:
    for table in (turns, sessions):
        await connection.execute(delete(table).where(table.c.session_id.in_(names)))


def _row(session: Session) -> dict[str, object]:
    return {
        "session_id": session.session_id,
        "used_at": session.used_at,
        "turns": session.turns,
        "body": session.model_dump_json(),
    }


def _title(question: str) -> str:
    line = " ".join(question.split())
    return line if len(line) <= TITLE_CHARACTERS else line[: TITLE_CHARACTERS - 1] + "…"


def _missing(session_id: str) -> Refused:
    hint = "`warren sessions list` shows those there are"
    return Refused(error="no_session", reason=f"no session {session_id}", field="session_id", hint=hint)
