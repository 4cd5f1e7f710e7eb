"""The mesh under attack in containers: a project of its own on free ports, hit by `docker kill`, `pause`, `ss -K`."""

import json
import os
import shutil
import socket
import sys
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from uuid import uuid4

from tests.chaos.sockets import can_destroy_sockets, run_command
from tests.chaos.target import Victim

SERVICES = ("planner", "memory", "inference", "researcher", "writer", "rabbitmq", "postgres", "watchdog")
AMQP = ":5672"
"""The broker's port inside."""


@dataclass
class DockerMesh:
    """The image must be there, or what builds it must be reachable. `home`: of the `warren` commands."""

    home: Path
    services: tuple[str, ...] = SERVICES
    project: str = field(default_factory=lambda: f"warren-chaos-{uuid4().hex[:6]}")
    env: dict[str, str] = field(default_factory=dict)
    _ids: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    async def stub_host(self) -> str:
        """The address of this machine on Docker's bridge, where containers reach the model server: no other network."""
        plain = "{{json (index .IPAM.Config 0)}}"
        found = await run_command("docker", "network", "inspect", "bridge", "-f", plain, env=dict(os.environ))
        config = json.loads(found)  # some engines leave the gateway out: then it is the first address
        return config.get("Gateway") or str(next(ip_network(config["Subnet"]).hosts()))

    async def up(self, settings: dict[str, str]) -> str:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("WARREN_")}
        port = _free_port()
        url = f"amqp://client:warren@127.0.0.1:{port}/"
        own = {"COMPOSE_PROJECT_NAME": self.project, "WARREN_AMQP_PORT": str(port), "WARREN_AMQP_URL": url}
        ports = {"WARREN_MANAGEMENT_PORT": str(_free_port()), "WARREN_OLLAMA_PORT": str(_free_port())}
        self.env = {**kept, **own, **ports, "WARREN_HOME": str(self.home.absolute()), **settings}
        # two watchdogs: Docker's own restart policy does not bring back what `docker kill` has ended, so one could not
        scale = ("--scale", "watchdog=2")
        await self._compose("up", "-d", "--wait", "--wait-timeout", "240", *scale)
        await self._look()
        return url

    async def warren(self, *arguments: str) -> str:
        return await run_command(sys.executable, "-m", "services.cli", *arguments, env=self.env)

    def running(self, service: str) -> list[Victim]:
        """A container keeps its id when it is started again, and its host name is the first 12 characters of it."""
        return [Victim(service, name, ident, f"{service}-{ident[:12]}") for ident, name in self._ids.get(service, [])]

    async def can_cut(self) -> bool:
        """Needs root, `nsenter`, and an engine on this machine: the sockets are in the containers' own namespaces."""
        if shutil.which("nsenter") is None or not await can_destroy_sockets():
            return False
        try:
            await self._cut(self.running("planner")[0])
        except RuntimeError:
            return False
        return True

    async def hit(self, victim: Victim, kind: str) -> None:
        try:
            if kind == "cut":
                await self._cut(victim)
            else:
                await run_command("docker", "kill" if kind == "kill" else "pause", victim.handle, env=self.env)
        except RuntimeError as error:
            raise ProcessLookupError(str(error)) from error

    async def thaw(self, victim: Victim) -> None:
        try:
            await run_command("docker", "unpause", victim.handle, env=self.env)
        except RuntimeError:
            return  # it was killed meanwhile

    async def down(self) -> None:
        await self._compose("down", "--volumes", "--remove-orphans", "--timeout", "5")

    async def _cut(self, victim: Victim) -> None:
        """All connections to the broker that this container has; of the broker's: all that it has."""
        pid = await run_command("docker", "inspect", "-f", "{{.State.Pid}}", victim.handle, env=self.env)
        end = "sport" if victim.service == "rabbitmq" else "dport"
        inside = ("nsenter", "-t", pid.strip(), "-n", "ss", "-t")
        if not await run_command(*inside, "-Hn", "state", "established", end, "=", AMQP, env=self.env):
            raise RuntimeError(f"{victim.instance} has no connection to the broker")
        await run_command(*inside, "-K", end, "=", AMQP, env=self.env)

    async def _look(self) -> None:
        lines = (await self._compose("ps", "--format", "json")).splitlines()
        for row in map(json.loads, filter(None, lines)):
            full = await run_command("docker", "inspect", "-f", "{{.Id}}", row["ID"], env=self.env)
            self._ids.setdefault(row["Service"], []).append((full.strip(), row["Name"]))

    async def _compose(self, *arguments: str) -> str:
        return await run_command("docker", "compose", *arguments, env=self.env, within_s=420)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
