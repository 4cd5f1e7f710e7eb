"""Reads `infra/supervision.toml` into a tree, with errors that name line and field.

Pure: `parse_tree` takes the text. Times are seconds except `shutdown_ms`, which keeps OTP's name and unit.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeVar

from services.watchdog.tree import Autoscale, AutoShutdown, Boot, Child, Group, OnExhausted, Restart, Strategy, replica
from shared.toml_lines import Path, line_of

T = TypeVar("T", bound=StrEnum)


class TreeError(ValueError):
    """The tree is not valid: the message names file, line and field."""


def parse_tree(text: str, *, source: str = "supervision.toml", mode: str | None = "process") -> Group:
    """The root group of a tree written in TOML, without the children of the other mode (None: with those of both).
    Raises `TreeError`."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TreeError(_at_its_line(text, source, str(error))) from error
    root = _Reader(text, source).group(table, (), name="root")
    return _for_mode(root, mode) if mode else root


def _for_mode(group: Group, mode: str) -> Group:
    kept: list[Child | Group] = []
    for child in group.children:
        if isinstance(child, Group):
            inner = _for_mode(child, mode)
            if inner.children:
                kept.append(inner)
        elif child.only in (None, mode):
            kept.append(child)
    return replace(group, children=tuple(kept))


def _at_its_line(text: str, source: str, said: str) -> str:
    """`Invalid value (at line 1, column 12)` as our own errors say it."""
    found = re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", said)
    if found:
        return f"{source}, line {found[2]}, column {found[3]}: {found[1]}"
    return f"{source}, line {text.count(chr(10)) + 1}: {said}"


@dataclass(frozen=True)
class _Reader:
    text: str
    source: str
    seen: set[str] = field(default_factory=lambda: {"group root"})

    def group(self, table: Mapping[str, Any], path: Path, *, name: str) -> Group:
        known = {"group", "children", "strategy", "max_restarts", "period_s", "restart", "significant",
                 "on_exhausted", "auto_shutdown", "boot"}  # fmt: skip
        self._known(table, known if path else known - {"group"}, path)
        read = _Fields(self, table, path)
        auto = read.choice("auto_shutdown", AutoShutdown, AutoShutdown.NEVER)
        group = Group(
            id=name,
            children=tuple(self._children(table, path, auto)),
            strategy=read.choice("strategy", Strategy, Strategy.ONE_FOR_ONE),
            max_restarts=read.integer("max_restarts", 3, least=0),
            period_s=read.integer("period_s", 5, least=1),
            restart=read.choice("restart", Restart, Restart.PERMANENT),
            significant=read.boolean("significant", default=False),
            on_exhausted=read.choice("on_exhausted", OnExhausted, OnExhausted.ESCALATE),
            auto_shutdown=auto,
            boot=read.choice("boot", Boot, Boot.IN_ORDER),
        )
        if not group.children:
            raise self.error((*path, "children"), "a group needs at least one child")
        return group

    def _children(self, table: Mapping[str, Any], path: Path, auto: AutoShutdown) -> Iterator[Child | Group]:
        rows = table.get("children", [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise self.error((*path, "children"), "must be a list of tables")
        for number, row in enumerate(rows):
            at = (*path, "children", number)
            if ("group" in row) == ("service" in row):
                raise self.error(at, "each child names either a group or a service")
            name = _Fields(self, row, at).text("group" if "group" in row else "service")
            children: list[Child | Group] = [self.group(row, at, name=name)] if "group" in row else []
            children += self._replicas(row, at, name) if "service" in row else []
            for child in children:
                self._once(child, (*at, "group" if "group" in row else "service"))
                if child.significant and child.restart is Restart.PERMANENT:
                    raise self.error((*at, "significant"), "not with restart permanent: such a child never ends")
                if child.significant and auto is AutoShutdown.NEVER:
                    raise self.error((*at, "significant"), "its group has auto_shutdown never, so it signifies nothing")
                yield child

    def _once(self, child: Child | Group, path: Path) -> None:
        key = f"{'group' if isinstance(child, Group) else 'child'} {child.id}"
        if key in self.seen:
            raise self.error(path, f"{key} is declared twice")
        self.seen.add(key)

    def _replicas(self, row: Mapping[str, Any], at: Path, service: str) -> list[Child]:
        known = {"service", "replicas", "restart", "shutdown_ms", "start_timeout_s", "significant", "only", "command",
                 "autoscale"}  # fmt: skip
        self._known(row, known, at)
        read = _Fields(self, row, at)
        only = row.get("only")
        if only not in (None, "process", "docker"):
            raise self.error((*at, "only"), f"must be process or docker, not {only!r}")
        child = Child(
            id=service,
            service=service,
            restart=read.choice("restart", Restart, Restart.PERMANENT),
            shutdown_s=read.shutdown("shutdown_ms"),
            start_timeout_s=float(read.integer("start_timeout_s", 30, least=1)),
            significant=read.boolean("significant", default=False),
            command=read.words("command"),
            only=only,
            autoscale=self._autoscale(row["autoscale"], (*at, "autoscale")) if "autoscale" in row else None,
        )
        return [replica(child, number) for number in range(1, read.integer("replicas", 1, least=1) + 1)]

    def _autoscale(self, table: Any, path: Path) -> Autoscale:
        if not isinstance(table, dict):
            raise self.error(path, "must be a table: { min = 1, max = 4, queued = 2, cool_down_s = 30 }")
        self._known(table, {"min", "max", "queued", "cool_down_s"}, path)
        read = _Fields(self, table, path)
        least = read.integer("min", 1, least=1)
        most = read.integer("max", least, least=least)
        return Autoscale(
            least, most, read.integer("queued", 2, least=1), float(read.integer("cool_down_s", 30, least=1))
        )

    def _known(self, table: Mapping[str, Any], known: set[str], path: Path) -> None:
        for key in table:
            if key not in known:
                raise self.error((*path, key), f"unknown field; known here: {', '.join(sorted(known))}")

    def error(self, path: Path, why: str) -> TreeError:
        name = ".".join(str(part) for part in path)
        return TreeError(f"{self.source}, line {line_of(self.text, path)}: {name}: {why}")


@dataclass(frozen=True)
class _Fields:
    reader: _Reader
    table: Mapping[str, Any]
    path: Path

    def _wrong(self, name: str, why: str) -> TreeError:
        return self.reader.error((*self.path, name), f"{why}, not {self.table.get(name)!r}")

    def text(self, name: str) -> str:
        value = self.table[name]
        if not isinstance(value, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", value):
            raise self._wrong(name, "must be a lower-case name")
        return value

    def integer(self, name: str, default: int, *, least: int) -> int:
        value = self.table.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self._wrong(name, f"must be a whole number of at least {least}")
        return value

    def boolean(self, name: str, *, default: bool) -> bool:
        value = self.table.get(name, default)
        if not isinstance(value, bool):
            raise self._wrong(name, "must be true or false")
        return value

    def choice(self, name: str, kind: type[T], default: T) -> T:
        value = self.table.get(name, default)
        if value not in list(kind):
            raise self._wrong(name, f"must be one of {', '.join(kind)}")
        return kind(value)

    def words(self, name: str) -> tuple[str, ...]:
        value = self.table.get(name, [])
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise self._wrong(name, "must be a list of words")
        return tuple(value)

    def shutdown(self, name: str) -> float | None:
        value = self.table.get(name, 5000)
        if value in ("brutal_kill", "infinity"):
            return 0.0 if value == "brutal_kill" else None
        return self.integer(name, 5000, least=0) / 1000
