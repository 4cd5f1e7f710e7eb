"""What the watchdog knows while no broker answers: it writes it down, here or in its container."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.cli import compose
from services.cli.children import rows_in, rows_of
from services.cli.console import duration
from services.cli.mesh import Mesh, keeper_alive
from services.cli.outcome import CommandFailed

if TYPE_CHECKING:
    from shared.contracts.supervision import TreeDescribed

TREE, CHILDREN = "run/tree.json", "run/children.json"
IN_CONTAINER = Path("/var/lib/warren")
WATCHDOGS = (1, 2)
"""Both write into one volume; either can be asked, as long as it runs."""
OLD_S = 5.0
"""It writes every second while the broker is away: older than this, and it is not there either."""


@dataclass(frozen=True)
class Noted:
    """`said`: since when the broker is away, and how old this is."""

    tree: TreeDescribed
    said: str


def noted_tree(mesh: Mesh) -> Noted | None:
    """The tree as the watchdog wrote it last, ages brought up to now. None where it has written nothing."""
    return read_tree(_read(mesh, TREE), now=time.time())


def noted_rows(mesh: Mesh) -> tuple[list[dict[str, Any]], str]:
    """The rows of `ps` as the watchdog wrote them last (none if it has not), and what is said of the broker."""
    rows = rows_of(mesh.home) if _here(mesh) else rows_in(_read(mesh, CHILDREN))
    noted = noted_tree(mesh) if rows else None
    return rows, noted.said if noted else ""


def read_tree(text: str, *, now: float) -> Noted | None:
    """From the file's text; `now` in seconds since the epoch."""
    from pydantic import ValidationError

    from shared.contracts.supervision import TreeDescribed

    try:
        told = json.loads(text)
        age = max(0.0, now - float(told["at"]))
        tree = TreeDescribed.model_validate(told["tree"])
    except (ValueError, TypeError, KeyError, ValidationError):
        return None
    older = tuple(
        node.model_copy(
            update={
                "uptime_s": node.uptime_s + age if node.state == "running" else node.uptime_s,
                "last_failed_ago_s": None if node.last_failed_ago_s is None else node.last_failed_ago_s + age,
                "next_try_s": None if node.next_try_s is None else max(0.0, node.next_try_s - age),
            }
        )
        for node in tree.nodes
    )
    return Noted(tree.model_copy(update={"nodes": older}), _said(told.get("broker_away_since"), age, now))


def _said(away_since: object, age: float, now: float) -> str:
    noted = f"the watchdog noted this {_whole(age)} ago"
    if isinstance(away_since, int | float):
        clock = f"{datetime.fromtimestamp(away_since, UTC).astimezone():%H:%M:%S}"
        stale = "; it has written nothing since" if age > OLD_S else ""
        return f"the broker is away since {clock} ({_whole(now - away_since)}); {noted}{stale}"
    return f"{noted}, when the broker was there"


def _whole(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 60 else duration(seconds)


def _here(mesh: Mesh) -> bool:
    return mesh.mode != "docker" and keeper_alive(mesh.home)


def _read(mesh: Mesh, name: str) -> str:
    """The text of one of the watchdog's files; "" if there is none."""
    if mesh.found_by in {"--url", "WARREN_AMQP_URL"}:
        return ""  # somebody else's mesh, perhaps
    if _here(mesh):
        try:
            return (mesh.home / name).read_text()
        except OSError:
            return ""
    return _from_container(name) if mesh.mode == "docker" else ""


def _from_container(name: str) -> str:
    for number in WATCHDOGS:
        try:
            return compose.output("exec", "-T", "--index", str(number), "watchdog", "cat", str(IN_CONTAINER / name))
        except CommandFailed:
            continue
    return ""
