"""Column types and conditions that mean the same on SQLite and PostgreSQL."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, DateTime, or_
from sqlalchemy.types import TypeDecorator


class UTCDateTime(TypeDecorator[datetime]):
    """An aware time in UTC. SQLite keeps no zone: there it is stored as UTC and made aware again when read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _: Any) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _: Any) -> datetime | None:
        return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)


def is_worker(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Does the column hold this worker, or one whose name goes on after it with `-`? So `researcher-1` is not
    `researcher-12`, and `researcher-<container>` is `researcher-<container>-7`."""
    return or_(column == name, column.startswith(f"{name}-", autoescape=True))
