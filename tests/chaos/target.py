"""The mesh under attack, as processes in a home of its own: started, looked at and hit from outside."""

import asyncio
import json
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

ROOT = Path(__file__).resolve().parents[2]
SLOTS = 8
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

    async def hit(self, victim: Victim, kind: str) -> None:
        """SIGKILL for `kill`, SIGSTOP for any other kind. Raises OSError if it is gone."""

    async def thaw(self, victim: Victim) -> None:
        """SIGCONT, if it is still there."""

    async def down(self) -> None: ...


@dataclass
class ProcessMesh:
    """`home`: a WARREN_HOME of its own, on the private broker that the watchdog starts."""

    home: Path
    services: tuple[str, ...] = ("planner", "memory", "inference", "researcher", "writer", "broker", "watchdog")
    env: dict[str, str] = field(default_factory=dict)

    async def up(self, settings: dict[str, str]) -> str:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("WARREN_")}
        own = {"WARREN_HOME": str(self.home.absolute()), "WARREN_MODE": "process", "PYTHONPATH": str(ROOT)}
        slots = {"WARREN_SLOTS": str(SLOTS), "WARREN_ACTIVE_GOALS": str(SLOTS)}
        self.env = {**kept, **own, **slots, **settings}
        await self.warren("up", "--timeout", str(int(UP_S)))
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

    async def hit(self, victim: Victim, kind: str) -> None:
        os.kill(int(victim.handle), signal.SIGKILL if kind == "kill" else signal.SIGSTOP)

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


async def run_command(*command: str, env: dict[str, str], within_s: float = UP_S + 30) -> str:
    """Output of a command. Raises RuntimeError with what it said when it fails."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, env=env, cwd=ROOT, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
    )
    try:
        async with asyncio.timeout(within_s):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        raise RuntimeError(f"{' '.join(command)}: not ready within {within_s:.0f} s") from None
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {err.decode()[-2000:]}")
    return out.decode()


def _alive(pid: object) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
