"""SQLAlchemy's own compiled statements, run by SQLite without the layers in between: a third of a schedule's time.

What it does not know (defaults made in Python, values that are called for) it leaves to SQLAlchemy.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine.result import IteratorResult, SimpleResultMetaData
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler

Row = tuple[Any, ...]
Make = Callable[[Any], Any]
Values = Mapping[str, Any]
Bound = tuple[tuple[str, Make | None], ...]
_NONE: Values = {}


class QuickResult(IteratorResult[Any]):
    rowcount: int
    returns_rows: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """How to run one compiled statement. `sources`: for each bound name its key, its place among the statement's own
    values (None: `fixed` has it) and whether the caller must give it. `bound`: for each place in the text its name and
    what prepares it for the driver; `read`: what makes a value of the driver ours, by column. `expands`: its text
    depends on the length of `lists`, and `texts` has those known."""

    compiled: Any
    sql: str
    sources: tuple[tuple[str, str, int | None, Any, bool], ...]
    bound: Bound
    read: tuple[tuple[int, Make], ...]
    shape: SimpleResultMetaData | None
    expands: bool
    lists: tuple[str, ...]
    texts: dict[tuple[int, ...], tuple[str, Bound, dict[str, list[str]]]]


class Quick:
    """One driver connection's statements; plans outlive transactions."""

    def __init__(self, driver: sqlite3.Connection, dialect: Any) -> None:
        self._driver, self._dialect = driver, dialect
        self._compiled: dict[Any, Any] = {}
        self._plans: dict[int, Plan | None] = {}

    def execute(self, statement: Any, parameters: Values | Sequence[Values] | None = None) -> QuickResult | None:
        """None: not for us. Raises what SQLAlchemy would raise. Many rows are run one after another, as SQLite does."""
        given = parameters if isinstance(parameters, list) else [parameters or _NONE]
        if not given:
            return None
        compiled, extracted, *_ = statement._compile_w_cache(
            self._dialect, compiled_cache=self._compiled, column_keys=sorted(given[0])
        )
        key = id(compiled)  # kept alive by `_compiled`, unless it had no cache key: then there is no plan either
        if key not in self._plans or self._plans[key] is None:
            self._plans[key] = _plan(compiled, self._dialect)
        plan = self._plans[key]
        if plan is None:
            return None
        every = [_values(plan, extracted, values) for values in given]
        if None in every:
            return None
        rows, count = [], 0
        for values in every:
            found, changed = self._run(plan, values)
            rows += found
            count += changed
        return _result(plan, rows, count)

    def _run(self, plan: Plan, values: dict[str, Any]) -> tuple[list[Row], int]:
        sql, bound = _expanded(plan, values) if plan.expands else (plan.sql, plan.bound)
        given = [make(values[name]) if make else values[name] for name, make in bound]
        try:
            cursor = self._driver.execute(sql, given)
            return cursor.fetchall() if plan.shape else [], cursor.rowcount
        except sqlite3.Error as error:
            raise DBAPIError.instance(sql, given, error, sqlite3.Error, dialect=self._dialect) from error


def _plan(compiled: Any, dialect: Any) -> Plan | None:
    if not isinstance(compiled, SQLCompiler) or compiled.insert_prefetch or compiled.update_prefetch:
        return None
    if compiled.positiontup is None or compiled.cache_key is None or any(b.callable for b in compiled.bind_names):
        return None
    columns = compiled._result_columns
    readers = [column.type._cached_result_processor(dialect, None) for column in columns]
    return Plan(
        compiled,
        str(compiled),
        _sources(compiled),
        _bound(compiled.positiontup, compiled._bind_processors),
        tuple((position, reader) for position, reader in enumerate(readers) if reader),
        SimpleResultMetaData([column.keyname for column in columns]) if columns else None,
        bool(compiled.literal_execute_params or compiled.post_compile_params),
        _lists(compiled),
        {},
    )


def _sources(compiled: Any) -> tuple[tuple[str, str, int | None, Any, bool], ...]:
    """Worked out once: SQLAlchemy's `construct_params` lines the values up anew each time."""
    matches = compiled._cache_key_bind_match[0]
    place = {bind: at for at, own in enumerate(compiled.cache_key[1]) for bind in matches[own]}
    return tuple(
        (name, bind.key, place.get(bind), bind.value, bind.required) for bind, name in compiled.bind_names.items()
    )


def _values(plan: Plan, extracted: Sequence[Any], given: Values) -> dict[str, Any] | None:
    """By name. None when one is missing: SQLAlchemy says so better."""
    values = {}
    for name, key, at, fixed, required in plan.sources:
        if key in given:
            values[name] = given[key]
        elif required:
            return None
        else:
            values[name] = fixed if at is None else extracted[at].value
    return values


def _expanded(plan: Plan, values: dict[str, Any]) -> tuple[str, Bound]:
    """The text is put together once for each length of its lists; the values join the others under their own names."""
    lengths = tuple(len(values[name]) for name in plan.lists)
    if plan.lists and lengths in plan.texts:
        sql, bound, names = plan.texts[lengths]
        for of_list, of_values in names.items():
            values.update(zip(of_values, values[of_list], strict=True))
        return sql, bound
    state = plan.compiled._process_parameters_for_postcompile(values)
    values.update(state.additional_parameters)
    bound = _bound(state.positiontup, {**plan.compiled._bind_processors, **state.processors})
    if plan.lists:
        plan.texts[lengths] = state.statement, bound, state.parameter_expansion
    return state.statement, bound


def _lists(compiled: Any) -> tuple[str, ...]:
    """Names of what stands for a list; nothing when something else makes a text differ, too."""
    binds = compiled.bind_names.items()
    if compiled.literal_execute_params or any(bind.literal_execute or bind.type._is_tuple_type for bind, _ in binds):
        return ()
    return tuple(name for bind, name in binds if bind in compiled.post_compile_params)


def _bound(names: list[str], prepare: dict[str, Any]) -> Bound:
    return tuple((name, prepare.get(name)) for name in names)


_NOTHING = SimpleResultMetaData([])


def _result(plan: Plan, rows: list[Row], rowcount: int) -> QuickResult:
    if plan.read and rows:
        rows = [_read(row, plan.read) for row in rows]
    result = QuickResult(plan.shape or _NOTHING, iter(rows))
    result.rowcount, result.returns_rows = rowcount, plan.shape is not None
    return result


def _read(row: Row, read: tuple[tuple[int, Make], ...]) -> Row:
    values = list(row)
    for position, make in read:
        values[position] = make(values[position])
    return tuple(values)
