"""What hangs in a container is found by its beat, through a folder that all share, and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from services.watchdog.closer_look import look_for
from services.watchdog.docker_engine import DockerEngine
from services.watchdog.vigil import Vigil
from tests.integration.engines import need_docker
from tests.integration.test_docker_engine import Watched, order, proxy
from tests.integration.test_socket_proxy import IMAGE, docker

__all__ = ["proxy"]
GOAL_S = 4.0
CHILD = """
import json, os, signal, socket, time
path = "/run/warren/" + socket.gethostname()
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
signal.signal(signal.SIGUSR1, lambda *_: time.sleep(1000))
while True:
    with open(path + ".part", "w") as file:
        json.dump({"pid": os.getpid(), "ready": True, "at": time.monotonic(), "reason": ""}, file)
    os.replace(path + ".part", path)
    time.sleep(0.5)
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[str]:
    """One memory and two researchers that beat into one folder, as in compose."""
    need_docker()
    name = f"warren-test-{uuid4().hex[:8]}"
    (tmp_path / "beats").mkdir(mode=0o777)
    for service, number in (("memory", 1), ("researcher", 1), ("researcher", 2)):
        labels = [f"com.docker.compose.project={name}", f"com.docker.compose.container-number={number}"]
        words = [word for label in [*labels, f"warren.supervise.id={service}"] for word in ("--label", label)]
        health = ["--health-cmd", "true", "--health-interval", "1s"]
        mount = ["-v", f"{tmp_path / 'beats'}:/run/warren"]
        docker("run", "-d", "--init", "--network", "none", *words, *health, *mount, IMAGE, "python", "-c", CHILD)
    yield name
    docker("rm", "-f", *docker("ps", "-aq", "--filter", f"label=com.docker.compose.project={name}").split())


@pytest.fixture
async def watched(proxy: str, project: str, tmp_path: Path) -> AsyncIterator[Watched]:
    def vigil(engine: DockerEngine) -> Vigil:
        return Vigil(engine, look=look_for(engine), beats_folder=tmp_path / "beats")

    watched = Watched(proxy, project, tmp_path, vigil)
    running = {"memory-1": ("running", 0), "researcher-1": ("running", 0), "researcher-2": ("running", 0)}
    await watched.until(lambda states: states == running, "an adoption without restarts")
    await watched.until(lambda _: len(list((tmp_path / "beats").glob("*[0-9a-f]"))) == 3, "a beat of each")
    yield watched
    await watched.close()


@pytest.mark.parametrize("how", ["pause", "stop", "block"])
async def test_a_container_that_hangs_is_started_again(watched: Watched, how: str):
    container = watched.container("researcher-2")
    begun = time.monotonic()
    if how == "pause":
        await order("pause", container)
    else:  # init passes on what it can: SIGSTOP is sent to the child itself
        child = (await order("top", container, "-o", "pid,comm")).splitlines()[-1].split()[0]
        await asyncio.to_thread(_signal, child, "STOP" if how == "stop" else "USR1")
    await watched.until(lambda s: s["researcher-2"] == ("running", 1), "a restart of what hung")
    print(f"{how}: runs again after {time.monotonic() - begun:.2f} s (goal: {GOAL_S:g} s)")
    assert watched.states()["memory-1"] == watched.states()["researcher-1"] == ("running", 0)


def _signal(pid: str, name: str) -> None:
    """From the host: a container's processes are processes of it."""
    os.kill(int(pid), signal.Signals[f"SIG{name}"])
