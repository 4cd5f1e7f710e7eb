"""The mesh under attack, as processes in a home of its own: started, looked at and hit from outside."""

import json
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from tests.chaos.sockets import ROOT, can_destroy_sockets, destroy_sockets, run_command

SLOTS = 8
"""Model calls at once, and goals in work, for each researcher and writer."""
UP_S = 180.0


@dataclass(frozen=True)
class Victim:
    """One running instance. `handle`: its pid or container; `worker`: how its name in events begins."""

    service: str
    instance: str
    handle: str
    worker: str


class Target(Protocol):
    """What a run needs of a mesh."""

    services: tuple[str, ...]

    async def up(self, settings: dict[str, str]) -> str:
        """Starts it; the broker's address."""

    async def warren(self, *arguments: str) -> str:
        """Runs a command of the CLI; its output. Raises RuntimeError when it fails."""

    def running(self, service: str) -> list[Victim]:
        """Its instances that run now."""

    async def can_cut(self) -> bool:
        """Can it tear down connections here?"""

    async def hit(self, victim: Victim, kind: str) -> None:
        """SIGKILL for `kill`, its connections torn down for `cut`, SIGSTOP for any other kind. Raises OSError if it is
        gone."""

    async def thaw(self, victim: Victim) -> None:
        """SIGCONT, if it is still there."""

    async def down(self) -> None: ...


@dataclass
class ProcessMesh:
    """`home`: a WARREN_HOME of its own, on the private broker that the watchdog starts."""

    home: Path
    services: tuple[str, ...] = ("planner", "memory", "inference", "researcher", "writer", "broker", "watchdog")
    workers: int = 1
    env: dict[str, str] = field(default_factory=dict)

    async def up(self, settings: dict[str, str]) -> str:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("WARREN_")}
        own = {"WARREN_HOME": str(self.home.absolute()), "WARREN_MODE": "process", "PYTHONPATH": str(ROOT)}
        room = str(SLOTS * self.workers)
        slots = {"WARREN_SLOTS": room, "WARREN_ACTIVE_GOALS": room}
        self.env = {**kept, **own, **slots, **settings}
        await self.warren("up", "--timeout", str(int(UP_S)))
        for service in ("researcher", "writer") if self.workers > 1 else ():
            await self.warren("scale", service, str(self.workers))
        return str(json.loads((self.home / "mesh.json").read_text())["amqp_url"])

    async def warren(self, *arguments: str) -> str:
        return await run_command(sys.executable, "-m", "services.cli", *arguments, env=self.env)

    def running(self, service: str) -> list[Victim]:
        rows = self._rows()
        return [
            Victim(service, str(row["instance"]), str(row["pid"]), str(row["instance"]))
            for row in rows
            if row.get("service") == service and row.get("state") == "running" and _alive(row.get("pid"))
        ]

    async def can_cut(self) -> bool:
        """Needs root and a kernel that lets sockets be destroyed: tried on a connection of our own."""
        return await can_destroy_sockets()

    async def hit(self, victim: Victim, kind: str) -> None:
        if kind == "cut":
            await self._cut(victim)
            return
        os.kill(int(victim.handle), signal.SIGKILL if kind == "kill" else signal.SIGSTOP)

    async def _cut(self, victim: Victim) -> None:
        """All connections to the broker that this process has; of the broker: all that it has."""
        port = urlsplit(json.loads((self.home / "mesh.json").read_text())["amqp_url"]).port
        if victim.service == "broker":
            await destroy_sockets("dport", "=", f":{port}")
            return
        listed = await run_command("ss", "-Htnp", "dport", "=", f":{port}", env=self.env)
        mine = [line.split() for line in listed.splitlines() if f"pid={victim.handle}," in line]
        for fields in mine:
            await destroy_sockets("sport", "=", f":{fields[3].rpartition(':')[2]}", "and", "dport", "=", f":{port}")
        if not mine:
            raise ProcessLookupError(f"{victim.instance} has no connection to the broker")

    async def thaw(self, victim: Victim) -> None:
        if _alive(int(victim.handle)):
            os.kill(int(victim.handle), signal.SIGCONT)

    async def down(self) -> None:
        await self.warren("down")

    def _rows(self) -> list[dict[str, Any]]:
        try:
            return list(json.loads((self.home / "run" / "children.json").read_text()))
        except (OSError, ValueError):
            return []


def _alive(pid: object) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
