"""SQLAlchemy's asynchronous engine without its object-relational mapper, which nothing here uses.

`sqlalchemy.ext.asyncio` loads the mapper for its sessions: a tenth of a planner's start, and a start is part of every
recovery. Two empty modules stand in for the sessions while it is loaded. Only for processes that own a database; where
sessions were loaded before, or a later SQLAlchemy wants more, everything is as usual.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

_SESSIONS = ("sqlalchemy.ext.asyncio.session", "sqlalchemy.ext.asyncio.scoping")


def _stand_in(name: str) -> ModuleType:
    module = ModuleType(name)
    module.__getattr__ = lambda _: None  # type: ignore[method-assign]
    return module


def _load() -> None:
    if "sqlalchemy.ext.asyncio" in sys.modules or "sqlalchemy.orm" in sys.modules:
        return
    sys.modules.update({name: _stand_in(name) for name in _SESSIONS})
    try:
        import sqlalchemy.ext.asyncio  # noqa: F401
    except (ImportError, AttributeError, TypeError):
        for name in [name for name in sys.modules if name.startswith("sqlalchemy.ext.asyncio")]:
            del sys.modules[name]
    finally:
        for name in _SESSIONS:
            sys.modules.pop(name, None)


_load()

from sqlalchemy import Table  # noqa: E402 - see above
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine  # noqa: E402

__all__ = ["AsyncConnection", "AsyncEngine", "create_async_engine", "upsert"]


def upsert(connection: AsyncConnection, table: Table) -> Any:
    """An INSERT that knows ON CONFLICT, of the connection's own dialect: only that one is loaded."""
    return import_module(f"sqlalchemy.dialects.{connection.dialect.name}").insert(table)
