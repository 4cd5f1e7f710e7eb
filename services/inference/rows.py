"""What the ledger hands out: calls that wait, and calls that are in our hands."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter

from shared.contracts.generation import Generate, Tried
from shared.contracts.sensitivity import USUAL, Sensitivity

_TRIED = TypeAdapter(tuple[Tried, ...])
CLAIMED = ("attempt", "since", "request", "avoid", "route", "tried")
"""Columns of the ledger that a `Claim` is made of."""
READ = (
    "id",
    "goal_id",
    "priority",
    "engine",
    "since",
    "share",
    "avoid",
    "sensitivity",
    "deadline_at",
    "max_tokens",
    "route",
    "tried",
)
"""Columns of the ledger that a `Row` is made of."""


@dataclass(frozen=True)
class Row:
    """A waiting call: enough to choose by."""

    id: str
    goal_id: str
    priority: int
    engine: str
    since: datetime
    share: str | None = None
    avoid: str | None = None
    sensitivity: Sensitivity = USUAL
    deadline_at: datetime | None = None
    max_tokens: int | None = None
    route: str | None = None
    tried: tuple[Tried, ...] = ()


@dataclass(frozen=True)
class Claim:
    """A call in our hands. `attempt` fences: who holds an older one has lost it. `since`: when it began to wait.
    `avoid`: the host at which it failed before. `route`: the engine that is asked in place of the request's; `tried`:
    those that failed before."""

    id: str
    attempt: int
    since: datetime
    request: Generate
    avoid: str | None = None
    route: str | None = None
    tried: tuple[Tried, ...] = ()


def claim_of(call: str, found: Any) -> Claim:
    """From the columns CLAIMED."""
    request = Generate.model_validate_json(found.request)
    return Claim(call, found.attempt, utc(found.since), request, found.avoid, found.route, tried_of(found.tried))


def tried_of(stored: str | None) -> tuple[Tried, ...]:
    return _TRIED.validate_json(stored) if stored else ()


def utc(at: datetime) -> datetime:
    """SQLite returns what it was given without its zone."""
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def row_of(found: Any) -> Row:
    """From the columns READ."""
    read = {name: getattr(found, name) for name in READ}
    read["since"], read["sensitivity"] = utc(found.since), found.sensitivity or USUAL
    read["deadline_at"] = utc(found.deadline_at) if found.deadline_at else None
    read["tried"] = tried_of(found.tried)
    return Row(**read)
