"""Reads `infra/routing.toml`, with errors that name line and field. `parse_routing` takes the text and is pure."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from services.inference.chains import LONGEST, Chain, Routes
from services.inference.generation import SERVERS
from services.inference.routing import NAMES, Routing, Server
from shared.contracts.generation import Purpose
from shared.errors import ConfigurationError
from shared.toml_lines import Path as Field
from shared.toml_lines import line_of

KNOWN = ("local_hosts", "remote_hosts", "servers", "purposes", "chains")
OF_A_CHAIN = ("for", "then")
OF_A_SERVER = ("url", "key_env")
_HOST = re.compile(r"(?:\[[0-9a-f:.]+\]|[0-9a-f:]*:[0-9a-f:.]*|[a-z0-9_][a-z0-9._-]*)(?::[0-9]{1,5})?")
_ENGINE = re.compile(rf"(?:{'|'.join(SERVERS)})/[^\s*]+|extractive")
_CHAINED = re.compile(r"\*|auto|(?:[a-z]+)/(?:\*|[^\s*]+\*?)")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read_routing(path: Path) -> Routing:
    """The table in this file. Raises ConfigurationError that names file, line and field."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"WARREN_ROUTING {path}: {error}") from error
    return parse_routing(text, source=str(path))


def parse_routing(text: str, *, source: str = "routing.toml") -> Routing:
    """Raises ConfigurationError. Nothing is taken for granted about a table that is wrong anywhere."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{source}: {error}") from error
    return _Reader(text, source).routing(table)


@dataclass(frozen=True)
class _Reader:
    text: str
    source: str

    def routing(self, table: Mapping[str, Any]) -> Routing:
        self._known(table, KNOWN, ())
        rows = table.get("servers", [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise self._wrong(("servers",), "must be a list of tables: [[servers]]")
        servers = tuple(self._server(row, ("servers", number)) for number, row in enumerate(rows))
        for number, server in enumerate(servers):
            if server.url in [other.url for other in servers[:number]]:
                raise self._wrong(("servers", number, "url"), f"{server.url} is there twice")
        return Routing(
            local_hosts=self._hosts(table, "local_hosts", NAMES),
            remote_hosts=self._hosts(table, "remote_hosts", ()),
            servers=servers,
            routes=Routes(self._purposes(table), self._chains(table)),
        )

    def _purposes(self, table: Mapping[str, Any]) -> dict[str, str]:
        listed = table.get("purposes", {})
        if not isinstance(listed, dict):
            raise self._wrong(("purposes",), "must be a table of purpose = engine: [purposes]")
        self._known(listed, get_args(Purpose), ("purposes",))
        return {name: self._engine(engine, ("purposes", name)) for name, engine in listed.items()}

    def _chains(self, table: Mapping[str, Any]) -> tuple[Chain, ...]:
        rows = table.get("chains", [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise self._wrong(("chains",), "must be a list of tables: [[chains]]")
        chains = tuple(self._chain(row, ("chains", number)) for number, row in enumerate(rows))
        for number, chain in enumerate(chains):
            if chain.engine in [other.engine for other in chains[:number]]:
                raise self._wrong(("chains", number, "for"), f"{chain.engine} is there twice")
        return chains

    def _chain(self, row: Mapping[str, Any], at: Field) -> Chain:
        self._known(row, OF_A_CHAIN, at)
        engine, listed = row.get("for"), row.get("then")
        if not isinstance(engine, str) or not _CHAINED.fullmatch(engine):
            raise self._wrong((*at, "for"), f"must be an engine, * at its end for any, not {engine!r}")
        if not isinstance(listed, list) or not 1 <= len(listed) <= LONGEST:
            raise self._wrong((*at, "then"), f"must be a list of 1 to {LONGEST} engines, not {listed!r}")
        then = tuple(self._engine(one, (*at, "then")) for one in listed)
        if twice := next((one for one in then if then.count(one) > 1 or one == engine), None):
            raise self._wrong((*at, "then"), f"{twice} would be asked twice")
        return Chain(engine, then)

    def _engine(self, name: object, at: Field) -> str:
        if not isinstance(name, str) or not _ENGINE.fullmatch(name):
            raise self._wrong(
                at, f"must be {', '.join(f'{kind}/MODEL' for kind in SERVERS)} or extractive, not {name!r}"
            )
        return name

    def _hosts(self, table: Mapping[str, Any], name: str, usual: tuple[str, ...]) -> tuple[str, ...]:
        listed = table.get(name, list(usual))
        if not isinstance(listed, list):
            raise self._wrong((name,), f"must be a list of names, not {listed!r}")
        for one in listed:
            if not isinstance(one, str) or not _HOST.fullmatch(one.lower()):
                raise self._wrong(
                    (name,), f"must be a host's name, or name:port, without http:// and path, not {one!r}"
                )
        return tuple(one.lower() for one in listed)

    def _server(self, row: Mapping[str, Any], at: Field) -> Server:
        self._known(row, OF_A_SERVER, at)
        url, key = row.get("url"), row.get("key_env")
        if not isinstance(url, str) or not re.match(r"https?://\S+$", url):
            raise self._wrong((*at, "url"), f"must be an address as in WARREN_OPENAI_URLS, not {url!r}")
        if not isinstance(key, str) or (key and not _VARIABLE.fullmatch(key)):
            # what stands here is not repeated: it may be the key itself
            raise self._wrong((*at, "key_env"), 'must be the NAME of the variable that has the key, or "" for no key')
        return Server(url.rstrip("/"), key)

    def _known(self, table: Mapping[str, Any], known: tuple[str, ...], at: Field) -> None:
        for name in table:
            if name not in known:
                raise self._wrong((*at, name), f"unknown field; known here: {', '.join(known)}")

    def _wrong(self, at: Field, why: str) -> ConfigurationError:
        name = ".".join(str(part) for part in at)
        return ConfigurationError(f"{self.source}, line {line_of(self.text, at)}: {name}: {why}")
