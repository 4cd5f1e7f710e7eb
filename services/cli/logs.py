"""`warren logs`: what the services have written, by service, by goal, and as it comes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from services.cli import compose
from services.cli.console import say
from services.cli.mesh import locate, near_name
from services.cli.outcome import CommandFailed, Exit

LOOK_S = 0.3


def logs(
    service: str | None = None,
    /,
    *,
    goal: str | None = None,
    follow: Annotated[bool, Parameter(name=("--follow", "-f"), negative=(), show_default=False)] = False,
    lines: int = 200,
) -> int:
    """Show the logs of all services, or of one.

    Parameters
    ----------
    service: A service, or one instance.
    goal: Only lines about the goal with this id (or beginning of one).
    follow: Go on as new lines come, until Ctrl-C.
    lines: How many lines of each service to begin with.
    """
    mesh = locate()
    try:
        if mesh.mode == "docker":
            return _compose_logs(service, goal, follow=follow, lines=lines)
        return _file_logs(mesh.home, service, goal, follow=follow, lines=lines)
    except KeyboardInterrupt:
        return Exit.DONE


def _file_logs(home: Path, service: str | None, goal: str | None, *, follow: bool, lines: int) -> int:
    folder = home / "logs"
    tails = Tails(folder, service, goal)
    if not tails.files() and not follow:
        what = f"of {service} " if service else ""
        there = ", ".join(sorted(path.stem for path in folder.glob("*.log")))
        raise CommandFailed(f"no logs {what}in {near_name(folder, Path.cwd())}", hint=there and f"there are: {there}")
    say(f"logs: {near_name(folder, Path.cwd())}")
    for line in tails.last(lines):
        print(line)
    while follow:
        for line in tails.new():
            print(line, flush=True)
        time.sleep(LOOK_S)  # files tell nobody that they grew; there is no loop here
    return Exit.DONE


@dataclass
class Tails:
    """Log files of a folder, each read on from where it was left."""

    folder: Path
    service: str | None = None
    goal: str | None = None
    _read: dict[Path, int] = field(default_factory=dict)

    def files(self) -> list[Path]:
        """`researcher` names researcher.log and researcher-1.log."""
        everything = sorted(self.folder.glob("*.log"))
        return [path for path in everything if not self.service or _is_of(path.stem, self.service)]

    def last(self, count: int) -> list[str]:
        """The last lines of each file; with a goal, all that name it (several files in the order of their times)."""
        found: list[str] = []
        for path in self.files():
            mine = list(self._lines(path))
            found += mine if self.goal else mine[-count:] if count > 0 else []
        return sorted(found, key=_time_of) if self.goal else found

    def new(self) -> Iterator[str]:
        """What was written since."""
        for path in self.files():
            yield from self._lines(path)

    def _lines(self, path: Path) -> Iterator[str]:
        start = self._read.get(path, 0)
        if start > path.stat().st_size:  # begun anew
            start = 0
        with path.open("rb") as file:
            file.seek(start)
            for raw in file:
                if not raw.endswith(b"\n"):  # still being written
                    break
                start += len(raw)
                line = raw.decode(errors="replace").rstrip()
                if not self.goal or self.goal in line:
                    yield f"{path.stem} | {line}"
        self._read[path] = start


def _is_of(stem: str, service: str) -> bool:
    return stem == service or (stem.startswith(f"{service}-") and stem[len(service) + 1 :].isdigit())


def _time_of(line: str) -> str:
    """The ISO time that a JSON line carries; lines without one come first."""
    _, _, rest = line.partition('"timestamp": "')
    return rest[:32].partition('"')[0]


def _compose_logs(service: str | None, goal: str | None, *, follow: bool, lines: int) -> int:
    wanted = ["logs", "--no-color", "--tail", "all" if goal else str(lines), *(["--follow"] if follow else [])]
    for line in compose.lines_of(*wanted, *([service] if service else [])):
        if not goal or goal in line:
            print(line, flush=follow)
    return Exit.DONE
