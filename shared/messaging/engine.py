"""Database engines, and what their errors mean."""

from collections.abc import Awaitable
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from shared.errors import Deferred, Rejected, Retryable, WarrenError
from shared.messaging.asyncio_engine import AsyncEngine, create_async_engine
from shared.messaging.sqlite import Connection


def make_engine(url: URL, *, schema: str) -> AsyncEngine:
    """SQLite, made durable and its transactions ours; PostgreSQL, where each owner has a schema of its own."""
    if url.get_backend_name() != "sqlite":
        return create_async_engine(
            url, pool_size=5, pool_pre_ping=True, connect_args={"server_settings": {"search_path": schema}}
        )
    engine = create_async_engine(url, pool_size=3, connect_args={"async_creator_fn": _connected})

    @event.listens_for(engine.sync_engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        # FULL: a commit survives a power cut, not only a crash of the process; the input is acked after it.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")  # the driver does not
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def _connected(path: str, **_: Any) -> Awaitable[Connection]:
    return Connection(path).open()


def is_outage(error: Exception) -> bool:
    """The database is away, as opposed to: it refused what it was asked."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or isinstance(error.orig, OSError)
    # The driver's own errors while connecting (starting up, shutting down, too many clients) arrive unwrapped.
    return isinstance(error, OSError) or type(error).__module__.startswith("asyncpg")


def away(error: Exception) -> Deferred:
    """No message is to blame for an outage, so no attempt is counted."""
    return Deferred(f"the database is away: {error}")


def refusal(error: DBAPIError) -> WarrenError:
    """A value that can never be stored (SQLSTATE class 22: a NUL in PostgreSQL's text) is no better the next time."""
    if str(getattr(error.orig, "sqlstate", None) or "").startswith("22"):
        return Rejected(f"the database cannot store it: {error.orig}"[:500])
    return Retryable(f"the database refused: {error.orig}"[:500])
