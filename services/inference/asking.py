"""One call, asked of its engine: made again once where its host fails, quoted where `auto` has no model left."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.exc import DBAPIError

from services.inference.chains import PASSED_ON, asked_of, failure, fell_back
from services.inference.engines import Engines
from services.inference.following import elsewhere, follow
from services.inference.generation import EngineFailed
from services.inference.running import Running, left_s
from services.inference.upstream import Answer
from shared.contracts.generation import Generated
from shared.messaging.asyncio_engine import AsyncConnection
from shared.messaging.database import Database

log = structlog.get_logger()
ELSEWHERE = frozenset({"refused", "broken", "silent", "busy", "memory"})
"""Troubles of one host that another may not have."""


@dataclass(frozen=True)
class Asking:
    """`clock`: the ledger's."""

    database: Database
    engines: Engines
    clock: Callable[[], datetime]

    async def think(self, call: Running) -> Generated | None:
        """With the chosen engine; once more at another host where one fails, or there when it is back (then None: it
        waits for that). `auto` quotes the sources where the model fails, and says so."""
        request, choice = call.claim.request, call.choice
        if fell_back(request.engine, choice) and await self._passed_on(call, kind="missing", why=choice.reason or ""):
            return None
        try:
            async with asyncio.timeout(left_s(request, self.clock())):
                answer = await self.engines.ask(choice, request, call.on_token)
            return self._result(call, answer, engine=choice.engine, reason=choice.reason)
        except TimeoutError:
            why = "its deadline" if request.max_s is None else "its deadline or the goal's budget of seconds"
            return call.failed(f"{why} ended the call after {call.tokens} tokens")
        except EngineFailed as error:
            log.warning("engine_failed", engine=choice.engine, kind=error.kind, reason=error.reason)
            if error.kind in ELSEWHERE and await self._sent_on(call, kind=error.kind):
                return None
            if error.kind in PASSED_ON and await self._passed_on(call, kind=error.kind, why=error.reason):
                return None
            if request.engine != "auto" or choice.provider == "replay":
                return call.failed(error.reason, kind=error.kind)
            answer = await self.engines.quote(request)
            return self._result(call, answer, engine="extractive", reason=f"no model: {error.reason}")

    async def _sent_on(self, call: Running, *, kind: str) -> bool:
        """A call whose host failed waits for another host, or for this one to be back, once: is there any to wait for,
        and is it the first time?"""
        here, request = call.choice, call.claim.request
        if not here.url or call.claim.avoid:
            return False
        other = self.engines.elsewhere(request, than=here, route=call.claim.route)
        if not other and (self._next(call) or not await self.engines.comes_back(request, to=here, kind=kind)):
            return False
        await self._keep(call, lambda connection: elsewhere(connection, call.claim, avoid=here.url))
        log.info("call_sent_on", call=call.claim.id, avoid=here.url)
        return True

    async def _passed_on(self, call: Running, *, kind: str, why: str) -> bool:
        """A call whose engine failed waits for the next one of its chain, if there is one. That is kept before the next
        is asked: whoever takes the call over goes on there."""
        following = self._next(call)
        if following is None:
            return False
        tried = (*call.claim.tried, failure(self._name(call), kind, why))
        await self._keep(call, lambda connection: follow(connection, call.claim, route=following, tried=tried))
        log.info("call_passed_on", call=call.claim.id, engine=tried[-1].engine, kind=kind, to=following)
        return True

    def _next(self, call: Running) -> str | None:
        return self.engines.routes.after(self._name(call), call.claim.tried)

    def _name(self, call: Running) -> str:
        wanted, route = call.claim.request.engine, call.claim.route
        return asked_of(wanted, route=route, configured=self.engines.configured, choice=call.choice)

    async def _keep(self, call: Running, change: Callable[[AsyncConnection], Awaitable[None]]) -> None:
        """What becomes of a call that is not done; tried again while the database is away."""
        call.answered = True
        while True:
            try:
                async with self.database.unit() as unit:
                    await change(unit.connection)
                return
            except (OSError, DBAPIError) as error:
                log.warning("call_waits_to_be_sent_on", call=call.claim.id, reason=str(error))
                await asyncio.sleep(1.0)

    def _result(self, call: Running, answer: Answer, *, engine: str, reason: str | None) -> Generated:
        cost = self.engines.cost(engine, answer)
        return call.result(answer, engine=engine, reason=reason, now=self.clock()).model_copy(update={"cost": cost})
