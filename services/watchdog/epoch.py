"""Which of several watchdogs leads: the one that holds the highest epoch in the state folder, and beats there.

Needs no broker and no lock that a frozen process could keep: an epoch is a file `leader.<number>` that only one can
create (link, atomic), and it is over when its holder has been silent for 1.5 s and another has created the next one.
A leader that was frozen and thawed sees the higher number as soon as it asks, and it asks before each action.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import structlog

from services.watchdog.state_file import read_json, write_json

BEAT_S, SILENCE_S = 0.5, 1.5
KEPT = 3
"""Epochs that stay on disk: a slow candidate that would create an old one again must meet its file."""
log = structlog.get_logger()


@dataclass
class Epoch:
    """`folder` is shared by all watchdogs of one mesh, on one machine (the clock is the kernel's)."""

    folder: Path
    name: str = field(default_factory=lambda: uuid4().hex)
    clock: Callable[[], float] = time.monotonic
    wall_clock: Callable[[], float] = time.time
    number: int = 0
    """Ours, as of the last beat; 0 while another leads."""

    def beat(self) -> bool:
        """Twice a second: says that we still lead, or takes over from a silent leader. True: we lead."""
        highest = self._highest()
        if self.number and highest == self.number:
            self._write(highest)
            return True
        if self.number:
            log.warning("no_longer_leading", epoch=self.number, leader=highest)
            self.number = 0
        if not highest:  # a first number that no earlier mesh with these neighbours has had
            self._take(int(self.wall_clock()))
        elif self._silent(highest):
            self._take(highest + 1)
        return self.number > 0

    def take_over(self) -> None:
        """Leads from now on, whoever led before: for one whose keeper knows that its predecessor is gone."""
        while not self.number:
            self._take(max(self._highest() + 1, 1))

    def holds(self) -> int | None:
        """Our number if we lead at this moment, by the files; None otherwise. Ask before each stop and kill."""
        return self.number if self.number and self._highest() == self.number else None

    def resign(self) -> None:
        """We end: a successor need not wait for our silence."""
        if self.holds():
            write_json(self._file(self.number), {"holder": self.name, "at": None})
        self.number = 0

    def _take(self, number: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        mine = self.folder / f".candidate.{self.name}"
        write_json(mine, {"holder": self.name, "at": self.clock()})
        try:
            os.link(mine, self._file(number))
        except FileExistsError:
            return  # somebody was faster
        finally:
            mine.unlink(missing_ok=True)
        if self._highest() != number:
            return
        self.number = number
        log.info("leading", epoch=number)
        for old in self._numbers():
            if old <= number - KEPT:
                self._file(old).unlink(missing_ok=True)

    def _silent(self, number: int) -> bool:
        at = read_json(self._file(number)).get("at")
        if not isinstance(at, int | float):
            return True  # resigned
        now = self.clock()
        return not at <= now <= at + SILENCE_S  # a time to come is one before the machine was started again

    def _write(self, number: int) -> None:
        write_json(self._file(number), {"holder": self.name, "at": self.clock()})

    def _highest(self) -> int:
        return max(self._numbers(), default=0)

    def _numbers(self) -> list[int]:
        names: list[str] = []
        with contextlib.suppress(OSError):
            names = os.listdir(self.folder)
        return [int(name[7:]) for name in names if name.startswith("leader.") and name[7:].isdigit()]

    def _file(self, number: int) -> Path:
        return self.folder / f"leader.{number}"
