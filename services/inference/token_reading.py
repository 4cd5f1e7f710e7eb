"""Questions about text that is being written: answered by the replica that gets them, or passed on to the others.

A replica knows the text of its own running calls only: a commit for each batch of tokens would cost more than the
tokens. So what another one runs comes from there, as events (decision 0015).
"""

from dataclasses import dataclass

from sqlalchemy import select

from services.inference.generation import call_id
from services.inference.tables import generations
from services.inference.token_stream import TokenStreams
from shared.contracts.generation import Generated
from shared.contracts.message import Done
from shared.contracts.stream import ReadTokens, TokensRead, TokensWanted, WatchTokens
from shared.messaging.database import Database
from shared.messaging.envelope import Envelope
from shared.runtime.service import Publisher


@dataclass(frozen=True)
class TokenReader:
    """What inference does with each message about tokens. All may come twice."""

    database: Database
    streams: TokenStreams
    publisher: Publisher

    async def on_watch(self, message: WatchTokens, envelope: Envelope) -> Done:
        count = self.streams.want_goal(message.goal_id, for_s=message.for_s)
        await self._pass_on(TokensWanted(goal_id=message.goal_id, for_s=message.for_s), envelope)
        return Done(count=count)

    async def on_read(self, message: ReadTokens, envelope: Envelope) -> TokensRead:
        if call := self.streams.want_call(message.call, for_s=message.for_s):
            return self.streams.read(message, call)
        stored = await self._stored(message)
        if call := self.streams.running.get(call_id(message.call)):  # it has begun meanwhile
            return self.streams.read(message, call)
        if stored.state != "done":
            wanted = message.model_dump()
            await self._pass_on(TokensWanted(goal_id=message.call.goal_id, **wanted), envelope)
        return stored

    async def on_wanted(self, message: TokensWanted, _: Envelope) -> None:
        if message.call is None:
            self.streams.want_goal(message.goal_id, for_s=message.for_s)
        elif call := self.streams.want_call(message.call, for_s=message.for_s):
            await self.streams.publish_since(
                call, attempt=message.attempt, revision=message.revision, after=message.after
            )

    async def _stored(self, message: ReadTokens) -> TokensRead:
        """What the ledger knows: all of a call that is done, and of another one whether it runs."""
        columns = generations.c
        query = select(columns.state, columns.attempt, columns.result).where(columns.id == call_id(message.call))
        async with self.database.read() as connection:
            row = (await connection.execute(query)).first()
        if row is None:
            return TokensRead(call=message.call, state="unknown")
        if row.state != "done":
            return TokensRead(call=message.call, state=row.state, attempt=row.attempt)
        result = Generated.model_validate_json(row.result)
        return TokensRead(call=message.call, state="done", attempt=row.attempt, text=result.text, result=result)

    async def _pass_on(self, wanted: TokensWanted, envelope: Envelope) -> None:
        """On SQLite there is nobody else."""
        if not self.database.is_sqlite:
            await self.publisher.publish(wanted, subject=wanted.goal_id, cause=envelope)
