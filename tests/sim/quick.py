"""SQLAlchemy's own compiled statements, run by SQLite without the layers in between: a fifth of a schedule's time.

What it does not know (many rows at once, defaults made in Python) it leaves to SQLAlchemy.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine.result import IteratorResult, SimpleResultMetaData
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler

Row = tuple[Any, ...]
Make = Callable[[Any], Any]


class QuickResult(IteratorResult[Any]):
    rowcount: int


@dataclass(frozen=True)
class Plan:
    """How to run one compiled statement. `bound`: for each place its parameter and what prepares it for the driver;
    `read`: what makes a value of the driver ours, by column. `expands`: its text depends on the length of a list."""

    compiled: Any
    sql: str
    bound: tuple[tuple[str, Make | None], ...]
    read: tuple[tuple[int, Make], ...]
    shape: SimpleResultMetaData | None
    expands: bool


class Quick:
    """One driver connection's statements; plans outlive transactions."""

    def __init__(self, driver: sqlite3.Connection, dialect: Any) -> None:
        self._driver, self._dialect = driver, dialect
        self._compiled: dict[Any, Any] = {}
        self._plans: dict[int, Plan | None] = {}

    def execute(self, statement: Any) -> QuickResult | None:
        """None: not for us. Raises what SQLAlchemy would raise."""
        compiled, extracted, *_ = statement._compile_w_cache(
            self._dialect, compiled_cache=self._compiled, column_keys=[], for_executemany=False
        )
        if id(compiled) not in self._plans or self._plans[id(compiled)] is None:
            self._plans[id(compiled)] = _plan(compiled, self._dialect)
        plan = self._plans[id(compiled)]
        if plan is None:
            return None
        values = compiled.construct_params(extracted_parameters=extracted, escape_names=False)
        sql, bound = _expanded(plan, values) if plan.expands else (plan.sql, plan.bound)
        given = [make(values[name]) if make else values[name] for name, make in bound]
        try:
            cursor = self._driver.execute(sql, given)
            rows = cursor.fetchall() if plan.shape else []
        except sqlite3.Error as error:
            raise DBAPIError.instance(sql, given, error, sqlite3.Error, dialect=self._dialect) from error
        return _result(plan, rows, cursor.rowcount)


def _plan(compiled: Any, dialect: Any) -> Plan | None:
    if not isinstance(compiled, SQLCompiler) or compiled.insert_prefetch or compiled.update_prefetch:
        return None
    if compiled.positiontup is None or compiled.cache_key is None:
        return None
    columns = compiled._result_columns
    readers = [column.type._cached_result_processor(dialect, None) for column in columns]
    return Plan(
        compiled,
        str(compiled),
        _bound(compiled.positiontup, compiled._bind_processors),
        tuple((position, reader) for position, reader in enumerate(readers) if reader),
        SimpleResultMetaData([column.keyname for column in columns]) if columns else None,
        bool(compiled.literal_execute_params or compiled.post_compile_params),
    )


def _expanded(plan: Plan, values: dict[str, Any]) -> tuple[str, tuple[tuple[str, Make | None], ...]]:
    state = plan.compiled._process_parameters_for_postcompile(values)
    values.update(state.additional_parameters)
    return state.statement, _bound(state.positiontup, {**plan.compiled._bind_processors, **state.processors})


def _bound(names: list[str], prepare: dict[str, Any]) -> tuple[tuple[str, Make | None], ...]:
    return tuple((name, prepare.get(name)) for name in names)


_NOTHING = SimpleResultMetaData([])


def _result(plan: Plan, rows: list[Row], rowcount: int) -> QuickResult:
    if plan.read and rows:
        rows = [_read(row, plan.read) for row in rows]
    result = QuickResult(plan.shape or _NOTHING, iter(rows))
    result.rowcount = rowcount
    return result


def _read(row: Row, read: tuple[tuple[int, Make], ...]) -> Row:
    values = list(row)
    for position, make in read:
        values[position] = make(values[position])
    return tuple(values)
