"""A mesh in process mode whose processes die at a named point once a file says so."""

import json
from dataclasses import dataclass
from pathlib import Path

from shared.crashpoints import Point
from tests.e2e.process.mesh import Mesh
from tests.integration.waiting import wait_until

OWNER: tuple[Point, ...] = ("before_commit", "after_commit", "before_publish", "after_confirm", "before_ack")
AGENT: tuple[Point, ...] = ("step_received", "asked", "before_result", "after_result", "before_ack")
HIT: dict[str, tuple[Point, ...]] = {
    "planner": (*OWNER, "tick", "after_copy", "letter_received", "letter_parked"),
    "memory": (*OWNER, "documents_parsed", "documents_saved", "corpus_changed"),
    "inference": (*OWNER, "call_claimed", "call_answered", "call_kept"),
    "researcher": AGENT,
    "writer": AGENT,
}
"""Which points a service comes by when a folder is added, a goal is asked about it, and a goal that is none is sent."""


def sites() -> list[str]:
    """All of them, service after service in turn, so that no service spends its restarts within a minute."""
    rounds = max(len(points) for points in HIT.values())
    return [f"{s}.{points[n]}" for n in range(rounds) for s, points in HIT.items() if n < len(points)]


def todays(every: list[str], *, day: int, whole: bool) -> list[str]:
    """A third of the sites, another one each day; all of them in a soak."""
    return every if whole else every[day % 3 :: 3]


@dataclass
class CrashingMesh(Mesh):
    @property
    def env(self) -> dict[str, str]:
        return {**super().env, "WARREN_CRASH_FILE": str(self.crash_file)}

    @property
    def crash_file(self) -> Path:
        return self.home.parent / f"{self.home.name}.crash"

    def crash_at(self, site: str) -> None:
        self.crash_file.write_text(site)

    def await_crash(self, site: str) -> None:
        """The process that came by has taken the file away; the watchdog has started another."""
        wait_until(lambda: not self.crash_file.exists(), deadline_s=60, what=f"somebody comes by {site}")
        service = site.partition(".")[0]

        def back() -> bool:
            mine = [c for c in self.children() if c["service"] == service]
            return bool(mine) and all(c["state"] == "running" and c.get("pid") for c in mine)

        wait_until(back, deadline_s=90, what=f"{service} is back")

    def refused_goals(self) -> int:
        answer = self.warren("dead", "list", "--json")
        return len(json.loads(answer.stdout)) if answer.returncode == 0 else -1
