"""What can be asked about a container beside its state, through the socket proxy."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from aiodocker import Docker
from aiodocker.exceptions import DockerError

from services.watchdog.containers import PROJECT, SUPERVISED, Container, from_inspection, is_ours

log = structlog.get_logger()
T = TypeVar("T")
REACH_TRIES, AGAIN_S = 60, 0.5


async def until_reached(ask: Callable[[], Awaitable[T]]) -> T:
    """The answer of a proxy that may be starting just now. Raises DockerError or OSError when it is not there in half a
    minute."""
    for _ in range(REACH_TRIES):
        try:
            return await ask()
        except (DockerError, OSError) as error:
            log.info("docker_not_reachable_yet", reason=repr(error))
            await asyncio.sleep(AGAIN_S)
    return await ask()


async def containers(docker: Docker, project: str) -> list[Container]:
    """Every supervised container of the project, running or not. Raises DockerError or OSError."""
    filters = json.dumps({"label": [f"{PROJECT}={project}", SUPERVISED]})
    found = []
    for one in await docker.containers.list(all="true", filters=filters):
        with contextlib.suppress(DockerError):  # removed meanwhile
            seen = await docker.containers.container(one.id).show()
            if is_ours(seen["Config"]["Labels"], project):
                found.append(from_inspection(seen))
    return found


async def process_states(docker: Docker, container: str) -> list[str]:
    """What `ps` says of each of its processes, e.g. `Ss`. Raises OSError."""
    try:
        found = await docker.containers.container(container).top()
    except DockerError as error:
        raise OSError(f"docker top: {error.message}") from error
    return [str(row[1]) for row in found["Processes"]]


async def last_lines(docker: Docker, container: str, *, until: float) -> list[str]:
    """The last lines that it said until a moment (seconds since the epoch). Raises OSError."""
    try:
        parts = await docker.containers.container(container).log(
            stdout=True, stderr=True, tail=20, until=f"{until:.6f}"
        )
    except DockerError as error:
        raise OSError(f"docker logs: {error.message}") from error
    return "".join(parts).splitlines()


async def send_signal(docker: Docker, container: str, signal: str, *, epoch: int) -> None:
    """In the name of a leader: aiodocker's own `kill()` knows no parameter of ours. Raises DockerError."""
    params = {"signal": signal, "epoch": str(epoch)}
    async with docker._query(f"containers/{container}/kill", method="POST", params=params):
        pass


async def announce(docker: Docker, epoch: int) -> None:
    """Tells the proxy who leads now, so that it refuses whoever led before. A proxy that is away hears it with the
    next order."""
    with contextlib.suppress(DockerError, OSError):
        async with docker._query("_ping", params={"epoch": str(epoch)}, versioned_api=False):
            pass
