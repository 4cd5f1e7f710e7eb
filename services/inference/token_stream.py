"""Tokens of running calls as events, for as long as somebody wants them. Nobody wants them: a list grows by a string at
each token, and that is all.

At once what comes first, then in batches. Nothing is stored and nothing waits for whoever reads: what a client misses
it asks for by its offset. While the broker is away or slow the batches get larger; there is never a queue of them.
"""

import asyncio
import time
from collections.abc import MutableMapping
from dataclasses import dataclass, field

import structlog

from services.inference.generation import call_id
from services.inference.running import Running
from services.inference.written import Part, cut
from shared.contracts.generation import CallKey, Generated
from shared.contracts.stream import WANTED_S, ReadTokens, TokensRead, TokensWritten
from shared.errors import WarrenError
from shared.runtime.service import Publisher

log = structlog.get_logger()
BATCH_S, EACH_S = 0.05, 0.005
"""Between two events of a call: a reader sees text flow, and a fast model costs twenty events a second; and what each
of many streams adds to that, so that all together cost two hundred."""
MANY = 1000
"""Wishes after which those that are over are forgotten."""


@dataclass
class TokenStreams:
    """`running`: the calls in progress, by the ledger's id."""

    publisher: Publisher
    running: MutableMapping[str, Running]
    batch_s: float = BATCH_S
    _wanted: dict[str, float] = field(default_factory=dict)
    """Id of a goal or of a call -> until when, in monotonic seconds."""
    _tasks: "dict[str, asyncio.Task[None]]" = field(default_factory=dict)

    def begin(self, call: Running) -> None:
        """A call starts."""
        if call.claim.request.stream:
            self._want(call.claim.id, WANTED_S)
        if self._wants(call):
            self._stream(call)

    def wish(self, name: str) -> None:
        """Somebody who wants to see its text has asked for this call, or joined it."""
        self._want(name, WANTED_S)
        if call := self.running.get(name):
            self._stream(call)

    def end(self, call: Running, result: Generated) -> None:
        """Its result is kept: the last of it is published."""
        call.kept = result
        call.news.set()

    def gone(self, call: Running) -> None:
        """It was stopped or taken over: nothing more is said of it."""
        task = self._tasks.get(call.claim.id)
        if call.kept is None and task:
            task.cancel()

    def want_goal(self, goal_id: str, *, for_s: float) -> int:
        """All calls of a goal, from the beginning. Returns how many run here."""
        self._want(goal_id, for_s)
        mine = [call for call in self.running.values() if call.claim.request.call.goal_id == goal_id]
        for call in mine:
            self._stream(call)
        return len(mine)

    def want_call(self, key: CallKey, *, for_s: float) -> Running | None:
        """One call, from now on: what it has written until now is for `since`. None if it does not run here."""
        call = self.running.get(name := call_id(key))
        self._want(name, for_s)
        if call is None:
            return None
        call.written.look()
        if name not in self._tasks:
            call.written.published = len(call.written.shown)
            self._stream(call)
        return call

    def read(self, message: ReadTokens, call: Running) -> TokensRead:
        """What this call has written beyond what the asker has."""
        part = self._since(call, message.attempt, message.revision, message.after)
        return TokensRead(
            call=message.call,
            state="running",
            attempt=call.claim.attempt,
            revision=part.revision,
            offset=part.offset,
            text=part.text,
        )

    async def publish_since(self, call: Running, *, attempt: int, revision: int, after: int) -> None:
        """The same as events, for somebody who asked another replica."""
        part = self._since(call, attempt, revision, after)
        for piece in cut(part.text, start=0, revision=part.revision):
            await self._publish(call, Part(piece.revision, part.offset + piece.offset, piece.text))

    def _since(self, call: Running, attempt: int, revision: int, after: int) -> Part:
        call.written.look()
        return call.written.since(revision if attempt == call.claim.attempt else -1, after)

    def _want(self, what: str, for_s: float) -> None:
        now = time.monotonic()
        if len(self._wanted) >= MANY:
            self._wanted = {name: until for name, until in self._wanted.items() if until > now}
        self._wanted[what] = max(self._wanted.get(what, 0.0), now + for_s)

    def _wants(self, call: Running) -> bool:
        names = (call.claim.id, call.claim.request.call.goal_id)
        return any(self._wanted.get(name, 0.0) > time.monotonic() for name in names)

    def _stream(self, call: Running) -> None:
        name = call.claim.id
        if name not in self._tasks:
            task = self._tasks[name] = asyncio.create_task(self._publish_all(call), name=f"tokens {name[:8]}")
            task.add_done_callback(lambda _: self._ended(name, task))

    def _ended(self, name: str, task: "asyncio.Task[None]") -> None:
        if self._tasks.get(name) is task:
            del self._tasks[name]

    async def _publish_all(self, call: Running) -> None:
        """Until it ends, or nobody wants it any more."""
        while self._wants(call):
            await call.news.wait()
            call.news.clear()
            over = call.kept
            if over is None:
                call.written.look()
            elif over.finish != "failed":
                call.written.end(over.text)
            parts = call.written.parts()
            if over is not None and not parts:
                parts = [Part(call.written.revision, len(call.written.shown), "")]
            for part in parts:
                await self._publish(call, part, ended=over is not None and part is parts[-1])
            if over is not None:
                return
            await asyncio.sleep(max(self.batch_s, EACH_S * len(self._tasks)))

    async def _publish(self, call: Running, part: Part, *, ended: bool = False) -> None:
        key = call.claim.request.call
        event = TokensWritten(
            goal_id=key.goal_id,
            call=key,
            attempt=call.claim.attempt,
            revision=part.revision,
            offset=part.offset,
            text=part.text,
            ended=ended,
        )
        try:
            await self.publisher.publish(event, subject=key.goal_id)
        except WarrenError as error:  # whoever misses it asks for it
            log.info("tokens_not_published", call=call.claim.id, reason=error.reason)
