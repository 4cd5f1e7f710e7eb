"""Containers that behave in known ways, reached through the socket proxy: the ground of an engine's tests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from uuid import uuid4

from aiohttp import web

from services.watchdog.containers import NUMBER, PROJECT, SUPERVISED
from services.watchdog.docker_engine import DockerEngine
from services.watchdog.engine import Engine
from services.watchdog.post_mortem import PostMortem
from services.watchdog.socket_proxy import Proxy, docker_session
from services.watchdog.tree import Child
from tests.engine_contract import Program
from tests.integration.engines import need_docker
from tests.integration.test_socket_proxy import IMAGE, docker

LOOP = ": > /tmp/ready; while :; do sleep 600 & wait $!; done"
HUNGRY = 'trap "exec tail /dev/zero" USR1; '
SCRIPTS: Mapping[Program, str] = {
    "obedient": f'{HUNGRY}trap "exit 0" TERM; {LOOP}',
    "stubborn": f'trap "" TERM; {LOOP}',
    "ends_with_0": "exit 0",
    "ends_with_3": "exit 3",
}
HEALTH = ("--health-cmd", "test -f /tmp/ready", "--health-interval", "500ms", "--health-timeout", "30s")
MEMORY = ("--memory", "32m", "--memory-swap", "32m")


class ContainerGround:
    """Compose would have created the containers; here `docker create` does, with compose's labels."""

    def __init__(self, home: Path, project: str, url: str) -> None:
        self.home, self.project, self.url = home, project, url
        self.containers: dict[str, str] = {}

    async def make(self, programs: Mapping[str, Program]) -> list[Child]:
        for name, program in programs.items():
            service, _, number = name.rpartition("-")
            labels = {PROJECT: self.project, NUMBER: number, SUPERVISED: service}
            words = [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]
            more = (*HEALTH, *MEMORY, "--network", "none", IMAGE, "sh", "-c", SCRIPTS[program])
            self.containers[name] = await order("create", *words, *more)
        return [Child(name, name.rpartition("-")[0]) for name in programs]

    def engine(self) -> Engine:
        return DockerEngine(self.url, self.project)

    async def kill(self, child_id: str) -> None:
        await order("kill", self.containers[child_id])

    async def run_out_of_memory(self, child_id: str) -> None:
        await order("kill", "--signal", "USR1", self.containers[child_id])

    def identity(self, engine: Engine, child_id: str) -> object:
        where = engine.whereabouts(child_id)
        return where.started_at and (where.container, docker("inspect", "-f", "{{.State.Pid}}", str(where.container)))

    def post_mortem(self, engine: Engine) -> PostMortem:
        return PostMortem(engine, self.home, beats=self.home)

    def end(self) -> None:
        if self.containers:
            docker("rm", "-f", *self.containers.values())


async def order(*words: str) -> str:
    return await asyncio.to_thread(docker, *words)


@contextlib.asynccontextmanager
async def containers(home: Path) -> AsyncIterator[ContainerGround]:
    """A project of its own behind a proxy of its own; its containers are removed at the end."""
    need_docker()
    project = f"warren-test-{uuid4().hex[:8]}"
    async with docker_session(Path("/var/run/docker.sock")) as session:
        server = web.Server(Proxy(session, project).handle)
        runner = web.ServerRunner(server, handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ground = ContainerGround(home, project, f"tcp://127.0.0.1:{runner.addresses[0][1]}")
        try:
            yield ground
        finally:
            await asyncio.to_thread(ground.end)
            await runner.cleanup()
