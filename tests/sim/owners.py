"""The databases of the owners of data: one per owner and (real) process, reset for each schedule."""

import functools

from sqlalchemy import MetaData

import services.inference.tables
import services.memory.tables
import services.planner.tables
from shared.messaging.database import Database
from shared.messaging.publish import Stamp
from tests.sim.library import fill
from tests.sim.store import Store


@functools.cache
def stores() -> dict[str, Store]:
    """By owner. Memory has its corpus."""
    found = {}
    tables = {"planner": services.planner.tables.TABLES, "inference": services.inference.tables.TABLES}
    for name, metadata in {**tables, "memory": memory_tables()}.items():
        Database("sqlite+aiosqlite://", metadata, stamp=Stamp(name, name))  # adds the tables of messaging
        found[name] = Store(metadata)
    fill(found["memory"])
    return found


@functools.cache
def memory_tables() -> MetaData:
    """One set of them, so that statements stay compiled from one life of a process to the next."""
    return services.memory.tables.schema()


def paid_calls() -> set[str]:
    """Of the ledger: what is finished, and never paid for again."""
    return {row.id for row in stores()["inference"].rows("SELECT id FROM generations WHERE state = 'done'")}
