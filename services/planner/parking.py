"""Dead letters: drained from their queue into `parked` as opaque bytes, so that looking at them cannot lose them."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import structlog

from services.planner.crashes import crashes_of
from services.planner.handlers import Handlers, refuse
from services.planner.parked import Parked
from services.planner.progress import Progress
from shared.contracts.dead_letters import (
    DeadLetter,
    DeadLetterShown,
    DeadLettersListed,
    ListDeadLetters,
    MessageParked,
    ShowDeadLetter,
)
from shared.contracts.goals import ENDED
from shared.contracts.steps import RunStep, StepFinished, StepResult
from shared.crashpoints import reached
from shared.errors import AttemptsSpent, NotDecodable, Rejected
from shared.messaging.consume import decode
from shared.messaging.database import Database, Unit
from shared.messaging.definitions import CLIENT
from shared.messaging.envelope import ORIGIN_QUEUE, REASON, SENDER, TRACE, Envelope, reply_allowed
from shared.messaging.ids import derived_id
from shared.messaging.topology import COMMANDS

log = structlog.get_logger()
SHOWN_BYTES = 64 * 1024
"""How much of a body `dead show` prints."""
_GOAL_HANGS_ON = frozenset({"step_finished.v1", "generated.v1", "corpora_opened.v1", "engine_described.v1"})
"""Messages without which a goal would wait until its deadline."""
_KILLED = "its consumer died with it more than once: it is taken for what kills it"


@dataclass(frozen=True)
class Parking:
    """Parks dead letters, and answers questions about them."""

    database: Database
    handlers: Handlers
    clock: Callable[[], datetime]

    async def on_dead_letter(self, envelope: Envelope, body: bytes) -> None:
        """The same letter twice is parked once; then whatever waited for the message is told."""
        reached("letter_received")
        row = _row(envelope, body, at=self.clock())
        async with self.database.unit(envelope) as unit:
            if await Parked(unit.connection).add(row, _kept(envelope)):
                log.warning("message_parked", id=row["id"], reason=row["reason"], queue=row["queue"])
                unit.publish(MessageParked(dead_letter=_letter(row, self.clock())), subject=row["goal_id"] or "-")
                self._answer(unit, row, envelope)
                await self._tell_goal(unit, row, body)
        reached("letter_parked")

    def _answer(self, unit: Unit, row: dict[str, Any], envelope: Envelope) -> None:
        """What no consumer saw, or none lived to answer, is answered by us: somebody may wait for it."""
        asker = replace(envelope, user_id=sender_of(envelope) or None)
        if not asker.reply_to or not reply_allowed(asker.reply_to, asker.user_id):
            return
        if never_arrived(envelope):
            unit.publish(refuse(NotDecodable(row["reason"], field="routing_key"), asker), to=asker)
        elif row["reason"] == _KILLED:
            unit.publish(refuse(AttemptsSpent(row["reason"]), asker), to=asker)

    async def _tell_goal(self, unit: Unit, row: dict[str, Any], body: bytes) -> None:
        progress = self.handlers.progress(unit)
        goal = await progress.goals.get(row["goal_id"]) if row["goal_id"] else None
        if goal is None or goal.status in ENDED:
            return
        await progress.event(goal, "message_parked", id=row["id"], type=row["type"], reason=row["reason"])
        if row["type"] == RunStep.type_name():
            await self._fail_step(unit, row, body)
        elif row["type"] in _GOAL_HANGS_ON:
            await self._fail_goal(progress, row)

    async def _fail_step(self, unit: Unit, row: dict[str, Any], body: bytes) -> None:
        step = decode(body, Envelope(type=row["type"]))
        assert isinstance(step, RunStep)
        _, kept = await self.handlers.step(self.handlers.progress(unit), step.goal_id, step.run, step.step)
        reason = f"message parked as {row['id'][:8]}: {row['reason']}"
        result = StepResult(step=step.step, question=step.question, status="failed", reason=reason[:2000])
        finished = StepFinished(
            goal_id=step.goal_id,
            run=step.run,
            step=step.step,
            fence=kept.fence if kept else step.fence,
            worker="planner",
            result=result,
        )
        await self.handlers.on_step_finished(finished, unit)

    async def _fail_goal(self, progress: Progress, row: dict[str, Any]) -> None:
        goal = await progress.goals.get(row["goal_id"])
        if goal:
            reason = f"a message it needs was parked as {row['id'][:8]}: {row['reason']}"
            await progress.end(goal, "failed", reason=reason[:2000])

    async def on_list(self, message: ListDeadLetters, _: Envelope) -> DeadLettersListed:
        async with self.database.read() as connection:
            rows = await Parked(connection).newest(message.limit)
        return DeadLettersListed(dead_letters=tuple(_letter(row._mapping, self.clock()) for row in rows))

    async def on_show(self, message: ShowDeadLetter, _: Envelope) -> DeadLetterShown:
        async with self.database.read() as connection:
            row = await Parked(connection).find(message.id)
            crashes = await crashes_of(connection, row.id, self.clock()) if row else ()
        if row is None:
            raise Rejected(f"no dead letter {message.id}", field="id", hint="`warren dead list` lists them")
        return DeadLetterShown(
            dead_letter=_letter(row._mapping, self.clock()),
            type=row.type,
            headers=json.loads(row.headers),
            body=row.body[:SHOWN_BYTES].decode("utf-8", "replace"),
            trace=row.trace,
            crashes=crashes,
        )


def _row(envelope: Envelope, body: bytes, *, at: datetime) -> dict[str, Any]:
    reason, queue = _why(envelope)
    identity = derived_id("parked", envelope.message_id, envelope.type, queue, envelope.attempt, reason)
    return {
        "id": identity if envelope.message_id else derived_id("parked", body.hex()[:4000], at),
        "at": at,
        "reason": reason,
        "queue": queue,
        "attempts": envelope.attempt,
        "goal_id": envelope.goal_id,
        "type": envelope.type or None,
        "headers": json.dumps(envelope.headers, default=str),
        "trace": envelope.headers.get(TRACE),
        "body": body,
    }


def _why(envelope: Envelope) -> tuple[str, str]:
    """Reason and queue: as consume.py said them, else as the broker did, else it never reached a queue."""
    if never_arrived(envelope):
        return f"nobody listens on {envelope.routing_key}", envelope.routing_key or "-"
    if REASON in envelope.headers and ORIGIN_QUEUE in envelope.headers:
        return str(envelope.headers[REASON]), str(envelope.headers[ORIGIN_QUEUE])
    deaths = envelope.headers.get("x-death")
    if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict):
        said, queue = str(deaths[0].get("reason")), str(deaths[0].get("queue"))
        return (_KILLED if said == "delivery_limit" else f"dead-lettered by the broker: {said}"), queue
    return f"nobody listens on {envelope.routing_key}", envelope.routing_key or "-"


def never_arrived(envelope: Envelope) -> bool:
    """It came by the alternate exchange: none of us has touched it, so its headers are whatever its sender wrote."""
    untouched = ORIGIN_QUEUE not in envelope.headers and "x-death" not in envelope.headers
    return untouched or envelope.exchange == COMMANDS


def sender_of(envelope: Envelope) -> str:
    """The broker's user who sent the original. A header says so only on copies that one of us has made."""
    of_ours = not never_arrived(envelope) and envelope.user_id not in (None, "", CLIENT)
    return str(envelope.headers.get(SENDER) or "") if of_ours else envelope.user_id or ""


def _kept(envelope: Envelope) -> str:
    """What it takes to send it again, as JSON."""
    return json.dumps({**asdict(envelope), "headers": {}})


def _letter(row: Any, now: datetime) -> DeadLetter:
    return DeadLetter(
        id=row["id"],
        reason=row["reason"],
        queue=row["queue"],
        attempts=row["attempts"],
        goal_id=row["goal_id"],
        age_s=round((now - row["at"]).total_seconds(), 1),
    )
