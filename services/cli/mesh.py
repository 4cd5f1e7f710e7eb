"""Finding the mesh: an option, the environment, the nearest `.warren/`, this machine. And `warren url`."""

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from services.cli.console import say
from shared.errors import ConfigurationError

FOLDER = ".warren"
DEFAULT_URL = "amqp://client:warren@127.0.0.1:5672/"
"""The documented user of a mesh that `docker compose up` started on this machine."""


@dataclass(frozen=True)
class Mesh:
    """Where the mesh is. `home`: the state folder on this machine (it may not exist). `found_by` is for people."""

    url: str
    home: Path
    mode: str | None
    found_by: str

    @property
    def address(self) -> str:
        return without_password(self.url)


@dataclass(frozen=True)
class Surroundings:
    """What the search looks at besides files."""

    cwd: Path
    option: str | None = None
    env_url: str | None = None
    env_home: Path | None = None


def find_mesh(here: Surroundings) -> Mesh:
    """The first of: option, WARREN_AMQP_URL, mesh.json of WARREN_HOME or else of the nearest `.warren/`, 127.0.0.1.

    Raises ConfigurationError when the address that was named is none.
    """
    home = home_folder(here)
    recorded, near = read_record(home), near_name(home, here.cwd)
    mode = recorded.get("mode")
    stopped = mode == "process" and not keeper_alive(home)
    for url, found_by in (
        (here.option, "--url"),
        (here.env_url, "WARREN_AMQP_URL"),
        (None if stopped else recorded.get("amqp_url"), f"{near}/mesh.json"),
    ):
        if url:
            return Mesh(url=_checked(url, found_by), home=home, mode=mode, found_by=found_by)
    why = f"the mesh of {near} is stopped" if stopped else f"no mesh in {near}"
    return Mesh(url=DEFAULT_URL, home=home, mode=mode, found_by=f"default; {why}")


def home_folder(here: Surroundings) -> Path:
    """WARREN_HOME, or the nearest `.warren/` upwards, or the one that `up` would make here."""
    if here.env_home:
        return here.env_home.absolute()
    for folder in (here.cwd, *here.cwd.parents):
        if (folder / FOLDER).is_dir():
            return folder / FOLDER
    return here.cwd / FOLDER


def keeper_alive(home: Path) -> bool:
    """Does a keeper hold this folder? It keeps a lock as long as it lives, and no longer."""
    try:
        with (home / "run" / "keeper.lock").open("r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def read_record(home: Path) -> dict[str, Any]:
    """What `up` or the keeper wrote down about the mesh of this folder; empty when there is none."""
    try:
        record = json.loads((home / "mesh.json").read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def without_password(url: str) -> str:
    parts = urlsplit(url)
    user = f"{parts.username}@" if parts.username else ""
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit((parts.scheme, f"{user}{host}{port}", parts.path, "", ""))


def locate(option: str | None = None) -> Mesh:
    """`find_mesh` with this process's own surroundings."""
    from services.cli.settings import Settings

    settings = Settings()
    return find_mesh(Surroundings(Path.cwd(), option, settings.amqp_url, settings.home))


def announce(mesh: Mesh) -> None:
    """Says on stderr which mesh is used."""
    say(f"mesh: {mesh.address} ({mesh.found_by})")


def url(*, url: str | None = None) -> None:
    """Print the broker's address for other clients, and nothing else.

    Parameters
    ----------
    url: Look at this address instead of searching.
    """
    print(locate(url).url)


def _checked(url: str, found_by: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"amqp", "amqps"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good:
        raise ConfigurationError(
            f"{found_by} is no broker address: {without_password(url) if '@' in url else url}",
            field=found_by,
            hint="expected amqp://user:password@host:port/",
        )
    return url


def near_name(home: Path, cwd: Path) -> str:
    """The folder as a person would write it from here."""
    relative = os.path.relpath(home, cwd)
    return relative if len(relative) < len(str(home)) else str(home)
