"""Statements that are built once and run all the time, on SQLite without the layers in between.

A statement of ours takes SQLite some ten microseconds, and SQLAlchemy with its greenlets ten times as long; a planner
runs a hundred for each goal. What SQLAlchemy has compiled (with the types of its columns) is run by the driver here,
within the transaction that SQLAlchemy has begun. On PostgreSQL, where the way to the server counts, SQLAlchemy runs it.
"""

import contextlib
import sqlite3
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from shared.messaging.asyncio_engine import AsyncConnection
from shared.messaging.sqlite import driver_of, straight

Values = Mapping[str, Any]
MANY = 50
"""Rows that are no more than a moment's work; more go to the connection's thread."""
_NONE: Values = {}


@dataclass(frozen=True, slots=True)
class Found:
    """`rows`: by position and by name. `count`: rows that were changed."""

    rows: list[Any]
    count: int

    def one(self) -> Any:
        """The first row, or None."""
        return self.rows[0] if self.rows else None

    def values(self) -> list[Any]:
        """The first column."""
        return [row[0] for row in self.rows]


_Bound = tuple[str, Any, Callable[[Any], Any] | None]
"""A value's name, what it is where it is not given, and what prepares it for the driver."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """`bound`: for each place in the text. `read`: what makes a value of the driver ours, by column."""

    sql: str
    bound: tuple[_Bound, ...]
    row: Callable[[Any], Any] | None
    read: tuple[tuple[int, Callable[[Any], Any]], ...]


class Prepared:
    """`statement`: of SQLAlchemy's core. What differs from run to run is given by name: bind parameters, and the
    columns of an INSERT or UPDATE without `values`. No lists (run it with many values instead)."""

    def __init__(self, statement: Any) -> None:
        self.statement = statement
        self._plans: dict[tuple[str, ...], _Plan | None] = {}

    async def run(self, connection: AsyncConnection, values: Values | Sequence[Values] = _NONE) -> Found:
        """Once, or once for each of many values, in their order. Raises what SQLAlchemy raises."""
        many = [values] if isinstance(values, Mapping) else values
        if not many:
            return Found([], 0)
        driver = driver_of(connection)
        plan = self._plan(many, connection.dialect) if driver else None
        if driver is None or plan is None:
            result = await connection.execute(self.statement, values or None)
            return Found(list(result) if result.returns_rows else [], result.rowcount)
        given = [_given(plan, each) for each in many]
        if len(given) <= MANY and driver.is_free:
            with contextlib.suppress(
                sqlite3.Error
            ):  # what is wrong, or locked, is for `straight` to meet again and say
                return _execute(driver.opened, plan, given)
        return await straight(connection, plan.sql, _execute, plan, given, long=len(given) > MANY)

    def _plan(self, many: Sequence[Values], dialect: Any) -> _Plan | None:
        """All must have the same names: rows that differ are for SQLAlchemy."""
        keys = tuple(many[0])
        if len(many) > 1 and any(each.keys() != many[0].keys() for each in many[1:]):
            return None
        if keys not in self._plans:
            self._plans[keys] = _planned(self.statement, keys, dialect)
        return self._plans[keys]


def _planned(statement: Any, keys: tuple[str, ...], dialect: Any) -> _Plan | None:
    """None for what only SQLAlchemy can do: defaults that are made in Python, text that depends on the values. A value
    that is missing is for it to complain of."""
    compiled = statement.compile(dialect=dialect, column_keys=list(keys) or None)
    makes_values = getattr(compiled, "insert_prefetch", None) or getattr(compiled, "update_prefetch", None)
    if makes_values or compiled.post_compile_params or compiled.literal_execute_params or compiled.positiontup is None:
        return None
    if any(bind.required and name not in keys for name, bind in compiled.binds.items()):
        return None
    columns = list(statement.exported_columns)
    readers = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
    return _Plan(
        sql=str(compiled),
        bound=tuple(_bound(name, compiled.binds[name], dialect) for name in compiled.positiontup),
        row=_shape([column.key for column in columns]) if columns else None,
        read=tuple((place, reader) for place, reader in enumerate(readers) if reader),
    )


def _bound(name: str, bind: Any, dialect: Any) -> _Bound:
    return name, bind.value, bind.type.dialect_impl(dialect).bind_processor(dialect)


def _shape(names: list[str]) -> Callable[[Any], Any]:
    row: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]  # the names come from the statement
    return cast(Callable[[Any], Any], row._make)


def _given(plan: _Plan, values: Values) -> list[Any]:
    given = []
    for name, fixed, prepare in plan.bound:
        value = values.get(name, fixed)
        given.append(value if prepare is None else prepare(value))
    return given


def _execute(driver: sqlite3.Connection, plan: _Plan, many: list[list[Any]]) -> Found:
    rows: list[Any] = []
    count = 0
    for given in many:
        cursor = driver.execute(plan.sql, given)
        if plan.row is not None:
            rows += [plan.row(_read(row, plan.read)) for row in cursor.fetchall()]
        count += cursor.rowcount
    return Found(rows, count)


def _read(row: Any, read: tuple[tuple[int, Callable[[Any], Any]], ...]) -> Any:
    if not read:
        return row
    values = list(row)
    for place, reader in read:
        values[place] = reader(values[place])
    return values
