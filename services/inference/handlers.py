"""What inference does with each message."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from services.inference.calls import Calls
from services.inference.embedding import Batchers
from services.inference.engines import Engines
from services.inference.generation import EngineFailed, Entry, call_id, ledger_says, request_hash
from services.inference.savings import costs, note
from services.inference.store import Ledger
from shared.contracts.generation import DescribeEngine, Embed, Embedded, EngineDescribed, Generate, Generated
from shared.contracts.message import Refused
from shared.contracts.sessions import OWN
from shared.contracts.steps import StepsStopped
from shared.contracts.supervision import ChildDied
from shared.contracts.tokens import ShowTokens, TokensShown
from shared.errors import NotAllowed, Rejected
from shared.messaging.database import Database, Unit
from shared.messaging.envelope import Envelope
from shared.messaging.topology import CLIENT

log = structlog.get_logger()


@dataclass(frozen=True)
class Inference:
    """`clock` returns the time now, aware."""

    database: Database
    ledger: Ledger
    engines: Engines
    calls: Calls
    clock: Callable[[], datetime]
    embedding: Batchers

    async def on_generate(self, message: Generate, unit: Unit) -> Generated | None:
        """Known and done: answered from the ledger. Running or waiting: joined. Else it waits for a slot. Raises
        NotAllowed for a call in the name of a goal by somebody who is no part of the mesh, Rejected for a restricted
        one whose key belongs to one that is not."""
        check_sender(message, unit.envelope.user_id)
        call, route = call_id(message.call), self.engines.routes.of(message)
        entry = await self.ledger.find(unit.connection, call)
        if entry is None and (before := await self._paid_before(message, unit)):
            return before
        if entry is None and not await self.ledger.add(unit.connection, message, self.clock(), route=route):
            entry = await self.ledger.find(unit.connection, call)
        if entry and entry.hash != request_hash(message):
            log.warning("request_differs", call=message.call.model_dump(), answered="as the first time")
        check_joins(message, entry)
        decision = ledger_says(entry)
        if decision == "answer":
            await note(unit.connection, call, "asked_again")
            return (await self.ledger.result(unit.connection, call)).model_copy(update={"cached": True})
        if decision == "again":
            await self.ledger.reopen(unit.connection, message, self.clock(), route=route)
        new = await self.ledger.wait(unit.connection, call, unit.envelope)
        if decision == "join" and new:
            await note(unit.connection, call, "joined")
        if message.stream:
            unit.after_commit(lambda: self.calls.streams.wish(call))
        unit.after_commit(self.calls.wake)
        return None

    async def _paid_before(self, message: Generate, unit: Unit) -> Generated | None:
        """What an earlier run of the goal has asked and paid for is not paid for again; kept under the new call."""
        if message.fresh or (message.call.run, message.call.epoch) == (1, 0):
            return None
        found = await self.ledger.earlier(unit.connection, message)
        if found is None:
            return None
        earlier = found.shared or found.call.run < message.call.run  # another try of this run has not told what it paid
        answer = found.model_copy(update={"call": message.call, "cached": True, "shared": earlier})
        return answer if await self.ledger.add(unit.connection, message, self.clock(), result=answer) else None

    async def on_embed(self, message: Embed, _: Envelope) -> Embedded | Refused:
        try:
            found = await self.embedding.embed(message.texts, message.sensitivity)
        except EngineFailed as error:
            return Refused(error="no_embedder" if error.kind == "missing" else "embedding_failed", reason=error.reason)
        return Embedded(engine=found.engine, vectors=found.vectors, failed=found.failed)

    async def on_describe_engine(self, message: DescribeEngine, _: Envelope) -> EngineDescribed:
        """As it is now: hosts are asked again if that was not done just now."""
        choice = await self.engines.find(message.engine, sensitivity=message.sensitivity)
        hold = self.engines.hold(message.engine, sensitivity=message.sensitivity)
        choice = replace(hold.choice, reason=hold.says()) if hold else choice
        async with self.database.read() as connection:
            counts = await self.ledger.counts(connection)
        return EngineDescribed(
            engine=choice.engine,
            usable=choice.usable,
            reason=choice.reason,
            slots=self.engines.slots_of(choice),
            running=counts.get("running", 0),
            waiting=counts.get("waiting", 0),
        )

    async def on_show_tokens(self, message: ShowTokens, _: Envelope) -> TokensShown:
        async with self.database.read() as connection:
            calls, more = await costs(connection, message.goal_id, limit=message.limit)
        return TokensShown(
            goal_id=message.goal_id, calls=tuple(calls), more=more, kept_s=self.calls.kept.total_seconds()
        )

    async def on_steps_stopped(self, message: StepsStopped, _: Envelope) -> None:
        await self.calls.stop_goal(message.goal_id, before_epoch=message.before_epoch)

    async def on_child_died(self, message: ChildDied, _: Envelope) -> None:
        if message.service == "inference":
            await self.calls.release_owner(message.holder, died_at=message.at)


def check_joins(message: Generate, entry: Entry | None) -> None:
    """A restricted call does not wait for one that may be sent anywhere, nor does it take that one's place."""
    if entry and entry.state != "done" and message.sensitivity == "restricted" != entry.sensitivity:
        why = f"the same call is under way as {entry.sensitivity}: cancel it, or ask with another key"
        raise Rejected(why, field="sensitivity")


def check_sender(message: Generate, sender: str | None) -> None:
    """Whoever could make a goal's calls could write its answers: what the ledger has is not asked for again."""
    if sender == CLIENT and not message.call.goal_id.startswith(OWN):
        raise NotAllowed(
            f"call.goal_id: a client's own calls begin with {OWN!r}", field="call.goal_id", hint=f"name it {OWN}NAME"
        )
