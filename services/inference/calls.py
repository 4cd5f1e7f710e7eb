"""Running calls: takes what waits as slots get free, runs it, keeps the result and answers all who wait, at once.

A call may run twice when its owner dies in the middle (its lease ends and another takes it over); only one result is
kept, and only that one is answered.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import DBAPIError

from services.inference.asking import Asking
from services.inference.cache import Cache
from services.inference.engines import Engines
from services.inference.generation import Choice
from services.inference.held import Held
from services.inference.history import engines_used, learn
from services.inference.rows import Claim
from services.inference.running import Running, show_life
from services.inference.scheduling import Schedule
from services.inference.sharing import share
from services.inference.store import Ledger
from services.inference.token_stream import TokenStreams
from shared.contracts.generation import Generated
from shared.crashpoints import reached
from shared.messaging.database import Database
from shared.runtime.service import Publisher

log = structlog.get_logger()
LOOK_S = 2.0
"""Between two looks for calls that other replicas left."""
PURGE_S = 3600.0


@dataclass
class Calls:
    """`owner`: this instance. `wake` it when a call was added."""

    database: Database
    ledger: Ledger
    engines: Engines
    publisher: Publisher
    owner: str
    clock: Callable[[], datetime]
    lease: timedelta = timedelta(seconds=30)
    kept: timedelta = timedelta(days=7)
    cache: Cache = field(default_factory=lambda: Cache(timedelta(days=1), 10_000))
    running: dict[str, Running] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.streams = TokenStreams(self.publisher, self.running)
        self.schedule = Schedule(self.engines, lambda: self.clock())
        self.held = Held(self.engines, lambda: self.clock())
        self._asking = Asking(self.database, self.engines, lambda: self.clock())

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled; then the calls in progress are given up and wait for another instance."""
        await self.engines.look()
        async with self.database.read() as connection:
            self.engines.away.known = await engines_used(connection)
            await learn(connection, self.engines.rates)
        await self._release(owner="*" if self.database.is_sqlite else self.owner)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._repeat(self._fill_all, LOOK_S))
                group.create_task(self._repeat(self._keep_leases, self.lease.total_seconds() / 3))
                group.create_task(self._repeat(self._look, self.engines.fresh_s))
                group.create_task(self._repeat(self._tell, LOOK_S))
                group.create_task(self._repeat(self._purge, PURGE_S))
        finally:
            tasks = [call.task for call in self.running.values() if call.task]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._release(owner=self.owner)
            await self.engines.close()

    async def _repeat(self, work: Callable[[], Awaitable[None]], every_s: float) -> None:
        """A database that is away for a moment is waited for; anything else ends the process, to be started afresh."""
        while True:
            try:
                await work()
            except (OSError, DBAPIError) as error:
                log.warning("database_away", work=work.__name__, reason=str(error)[:200])
                await asyncio.sleep(1.0)
                continue
            if work != self._fill_all:
                await asyncio.sleep(every_s)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every_s):
                    await self._wake.wait()

    async def stop_goal(self, goal_id: str, *, before_epoch: int | None = None) -> None:
        """Cancels what runs for a goal and drops what waits; of an older epoch only, if one is named."""
        async with self.database.read() as connection:
            shared = await self.cache.wanted_by_others(connection, goal_id)
        keys = [(call, call.claim.request.call) for call in self.running.values() if call.claim.id not in shared]
        gone = [
            call.task
            for call, key in keys
            if key.goal_id == goal_id and call.task and (before_epoch is None or key.epoch < before_epoch)
        ]
        for task in gone:
            task.cancel()
        await asyncio.gather(*gone, return_exceptions=True)  # only then are their slots free
        async with self.database.unit() as unit:
            await self.ledger.stop(unit.connection, goal_id, owner=self.owner, before_epoch=before_epoch, spare=shared)

    async def release_owner(self, owner: str, *, died_at: datetime | None = None) -> None:
        """An instance died: its calls wait again. If that was our predecessor, ours go on; and so do those that the
        successor of another has taken, of the same name, before we heard of the death."""
        if owner != self.owner:
            held = died_at + self.lease if died_at else None
            await self._release(owner=owner, spare=self.owner, held_until=held)
            self.wake()

    async def _release(
        self, *, owner: str | None = None, spare: str | None = None, held_until: datetime | None = None
    ) -> None:
        async with self.database.unit() as unit:
            freed = await self.ledger.release(
                unit.connection, now=self.clock(), owner=owner, spare=spare, held_until=held_until
            )
        if freed:
            log.info("calls_released", calls=freed, owner=owner)

    async def _fill_all(self) -> None:
        """One round may leave a second host idle: its calls were placed before the first became busy."""
        self._wake.clear()
        while await self._fill():
            pass

    async def _fill(self) -> bool:
        """Starts as many waiting calls as there are free slots. Was there any?"""
        async with self.database.read() as connection:
            rows = await self.ledger.waiting(connection)
            self._count(await self.ledger.running(connection) if rows else {})
        rows = [row for row in rows if row.id not in self.running]  # what was sent on may not have ended yet
        choices = self.held.choices(rows)
        answered, rows = await share(rows, choices, self.cache, database=self.database, now=self.clock())
        ready = [row for row in rows if row.id not in self.held.calls]
        choices |= self.schedule.late(ready, choices)
        chosen = self.schedule.next(ready, choices, self.running.values())
        if not chosen:
            return answered
        shares = {row.id: row.share for row in rows if row.share and choices[row.id].url}
        claims, places = await self._claim(chosen, shares), dict(chosen)
        for claim in claims:
            self._start(Running(claim, places[claim.id]))
        return answered or bool(claims)

    async def _claim(self, chosen: Sequence[tuple[str, Choice]], shares: Mapping[str, str]) -> list[Claim]:
        """In one transaction with the count of slots that are taken, over all replicas: never more than there are. Nor
        is any begun that an equal one has overtaken: `shares`, of those that may be shared."""
        lanes = {choice.url for _, choice in chosen if choice.url}
        claims = []
        async with self.database.unit() as unit:
            taken = await self.ledger.lock_slots(unit.connection, [*lanes]) if lanes else Counter[str]()
            taken.update(call.choice.url for call in self.running.values() if call.lost)
            wanted = {call: (shares[call], at.engine) for call, at in chosen if call in shares}
            await self.cache.lock(unit.connection, (share for share, _ in wanted.values()))
            placed = await self.cache.placed(unit.connection, wanted.values(), self.clock())
            until = self.clock() + self.lease
            for call, at in chosen:
                if (at.url and taken[at.url] >= self.engines.slots) or wanted.get(call) in placed:
                    continue
                claim = await self.ledger.claim(
                    unit.connection, call, owner=self.owner, until=until, host=at.url, engine=at.engine
                )
                if claim:
                    taken[at.url] += 1
                    claims.append(claim)
        return claims

    def _count(self, placed: Mapping[str, str]) -> None:
        """What is busy: calls of all replicas at hosts, and our own here, which no row knows of."""
        ours = (call.choice.lane for call in self.running.values() if call.lost or call.claim.id not in placed)
        self.engines.busy = Counter([*placed.values(), *ours])

    def _start(self, call: Running) -> None:
        self.running[call.claim.id] = call
        self.schedule.turns.note(call.claim.request.call.goal_id, now=self.clock())
        self.engines.busy[call.choice.lane] += 1
        call.task = asyncio.create_task(self._run(call), name=f"call {call.claim.id[:8]}")
        call.task.add_done_callback(lambda _: self._ended(call))
        self.streams.begin(call)

    def _ended(self, call: Running) -> None:
        self.engines.busy[call.choice.lane] -= 1
        if self.running.get(call.claim.id) is call:
            del self.running[call.claim.id]
        self.streams.gone(call)
        self.wake()

    async def _run(self, call: Running) -> None:
        reached("call_claimed")
        signs = asyncio.create_task(show_life(call, self.publisher, self.owner))
        try:
            result = await self._asking.think(call)
        except Exception as error:
            log.exception("call_failed", call=call.claim.id)
            result = call.failed(f"{type(error).__name__}: {error}")
        finally:
            signs.cancel()
        if result is None:
            return
        call.answered = True
        reached("call_answered")
        await self._keep(call, result)
        reached("call_kept")

    async def _keep(self, call: Running, result: Generated) -> None:
        """Result and replies in one transaction; tried again while the database is away."""
        while True:
            try:
                async with self.database.unit() as unit:
                    waiters = await self.ledger.finish(unit.connection, call.claim, result, now=self.clock())
                    for waiter in waiters or ():
                        unit.publish(result, to=waiter)
                break
            except (OSError, DBAPIError) as error:
                log.warning("result_waits", call=call.claim.id, reason=str(error))
                await asyncio.sleep(1.0)
        if waiters is None:
            log.info("late_result_dropped", call=call.claim.id)
        else:
            self.streams.end(call, result)

    async def _keep_leases(self) -> None:
        """What another took over, since we were late, is not gone on with: it would be in flight twice."""
        mine = list(self.running.values())
        async with self.database.unit() as unit:
            until = self.clock() + self.lease
            held = await self.ledger.renew(unit.connection, owner=self.owner, until=until) if mine else set()
            await self.ledger.release(unit.connection, now=self.clock())
        for call in mine:
            if (call.claim.id, call.claim.attempt) not in held and not call.answered and call.task:
                log.warning("call_lost", call=call.claim.id, reason="its lease ended while this process stood still")
                call.lost = True
                call.task.cancel()

    async def _look(self) -> None:
        before = self.engines.choose("auto")
        await self.engines.look()
        if self.held.calls or self.engines.choose("auto") != before:
            self.wake()

    async def _tell(self) -> None:
        await self.held.tell(self.database, self.publisher, self.owner)

    async def _purge(self) -> None:
        async with self.database.unit(long=True) as unit:
            await self.ledger.purge(unit.connection, self.clock() - self.kept)
            await self.cache.trim(unit.connection, self.clock())
        await self.database.purge()
