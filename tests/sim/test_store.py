"""The simulated store passes the suite that SQLite and PostgreSQL pass, unmodified, in many orders of events."""

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy import MetaData

import shared.messaging.database
import tests.contract_suite.replica
from shared.messaging.schema import Schema
from tests.contract_suite import unit_of_work
from tests.contract_suite.replica import Owner, Replica
from tests.sim.clock import SimDatetime, log_to, virtual
from tests.sim.loop import SimLoop
from tests.sim.mesh import MANY
from tests.sim.store import SimEngine, SimKept, Store

Contract = Callable[..., Awaitable[None]]
CONTRACTS = [value for name, value in vars(unit_of_work).items() if name.startswith("test_")]
ORDERS = 20
STEPS = 200_000
"""Of the loop: a test that needs more will never end."""


class SimOwner(Owner):
    """Each replica in a process of its own."""

    async def open(self, replica: Replica) -> None:
        loop: Any = asyncio.get_running_loop()
        process = loop.process(replica.database.stamp.instance)
        await loop.spawn(process, replica.open())


def run_once(contract: Contract, seed: int) -> None:
    rng, store = random.Random(seed), Store(MetaData())
    loop = SimLoop(rng)
    scaled = "scaled_owner" in inspect.signature(contract).parameters

    async def main() -> None:
        async with AsyncExitStack() as stack:
            await contract(SimOwner(MANY if scaled else "sqlite+aiosqlite://", "owner", stack))

    replaced = [
        (shared.messaging.database, "make_engine", lambda url, schema: SimEngine(store)),
        (shared.messaging.database, "lock_sqlite", lambda path, owner: None),
        (shared.messaging.database, "KeptConnections", SimKept),
        (Schema, "bring_up_to_date", _create),
        (tests.contract_suite.replica, "datetime", SimDatetime),
    ]
    log_to(None)
    asyncio._set_running_loop(loop)
    try:
        with virtual(loop, rng, replaced):
            done = loop.spawn(loop.process("test"), main())
            while not done.done():
                assert loop.steps < STEPS, "it will never end"
                loop.step()
                if loop.steps % 100 == 0:  # those who ask again and again must not keep time from passing
                    loop.pass_time(0.01)
        done.result()
    finally:
        asyncio._set_running_loop(None)
        store.close()


async def _create(self: Schema, connection: Any) -> None:
    await connection.run_sync(self.tables.create_all)


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.__name__.removeprefix("test_"))
def test_the_contract_holds(contract: Contract) -> None:
    for seed in range(ORDERS):
        run_once(contract, seed)


def test_a_store_that_does_not_isolate_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(self: Store, process: Any) -> None:
        self.held_by = process

    monkeypatch.setattr(Store, "acquire", at_once)
    noticed = 0
    for contract in (
        unit_of_work.test_no_other_replica_sees_what_is_not_committed,
        unit_of_work.test_two_replicas_that_change_the_same_row_lose_no_update,
    ):
        try:
            run_once(contract, 1)
        except BaseException:
            noticed += 1
    assert noticed == 2
