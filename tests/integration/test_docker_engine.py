"""The Docker engine and the watch on real containers, through the socket proxy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from aiohttp import web

from services.watchdog.docker_engine import DockerEngine
from services.watchdog.socket_proxy import Proxy, docker_session
from services.watchdog.supervision import Supervisor
from services.watchdog.tree_file import parse_tree
from services.watchdog.vigil import Vigil
from services.watchdog.watch import Watch
from tests.integration.engines import need_docker
from tests.integration.test_socket_proxy import docker, run_container

DEADLINE_S = 30.0
TREE = """
[[children]]
group = "memory"
max_restarts = 5
period_s = 60
on_exhausted = "quarantine"
children = [{ service = "memory" }]

[[children]]
group = "researcher"
max_restarts = 5
period_s = 60
on_exhausted = "quarantine"
children = [{ service = "researcher" }]
"""


@pytest.fixture
def project() -> Iterator[str]:
    """A project with one memory and two researchers, although the tree says one."""
    need_docker()
    name = f"warren-test-{uuid4().hex[:8]}"
    run_container(name, "memory")
    run_container(name, "researcher")
    run_container(name, "researcher", number=2)
    yield name
    docker("rm", "-f", *docker("ps", "-aq", "--filter", f"label=com.docker.compose.project={name}").split())


@pytest.fixture
async def proxy(project: str) -> AsyncIterator[str]:
    async with docker_session(Path("/var/run/docker.sock")) as session:
        server = web.Server(Proxy(session, project).handle)
        runner = web.ServerRunner(server, handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"tcp://127.0.0.1:{runner.addresses[0][1]}"
        await runner.cleanup()


class Watched:
    """A watch on the project, as the watchdog runs it."""

    def __init__(
        self, proxy: str, project: str, home: Path, vigil: Callable[[DockerEngine], Vigil | None] = lambda engine: None
    ) -> None:
        engine = DockerEngine(proxy, project)
        self.watch = Watch(Supervisor(parse_tree(TREE, mode="docker")), engine, home, "docker", vigil(engine))
        self.task = asyncio.create_task(self.watch.run())

    def states(self) -> dict[str, tuple[str, int]]:
        rows = [row for row in self.watch.rows() if row["service"] != "watchdog"]
        return {row["instance"]: (row["state"], row["restarts"]) for row in rows}

    def container(self, child: str) -> str:
        return next(str(row["container"]) for row in self.watch.rows() if row["instance"] == child)

    async def until(self, condition: Callable[[dict[str, tuple[str, int]]], bool], what: str) -> None:
        quiet = asyncio.Event()
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not condition(self.states()):
                    if self.task.done():
                        self.task.result()
                    try:
                        await asyncio.wait_for(quiet.wait(), 0.05)
                    except TimeoutError:
                        continue
        except TimeoutError:
            raise AssertionError(f"not within {DEADLINE_S:g} s: {what}; {self.states()}") from None

    async def close(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.watch.engine.close()


@pytest.fixture
async def watched(proxy: str, project: str, tmp_path: Path) -> AsyncIterator[Watched]:
    watched = Watched(proxy, project, tmp_path)
    running = {"memory-1": ("running", 0), "researcher-1": ("running", 0), "researcher-2": ("running", 0)}
    await watched.until(lambda states: states == running, "an adoption without restarts")
    yield watched
    await watched.close()


async def order(*words: str) -> str:
    return await asyncio.to_thread(docker, *words)


async def test_a_killed_container_is_started_again(watched: Watched):
    await order("kill", watched.container("researcher-1"))
    await watched.until(lambda s: s["researcher-1"] == ("running", 1), "a restart")
    assert watched.states()["researcher-2"] == ("running", 0)


async def test_what_a_person_stops_is_held_until_it_is_started_or_released(watched: Watched):
    container = watched.container("researcher-2")
    await order("stop", "-t", "5", container)
    await watched.until(lambda s: s["researcher-2"] == ("held", 0), "a hold")
    await order("start", container)
    await watched.until(lambda s: s["researcher-2"] == ("running", 0), "the end of the hold")
    await order("stop", "-t", "5", container)
    await watched.until(lambda s: s["researcher-2"] == ("held", 0), "another hold")
    watched.watch.release("researcher")
    await watched.until(lambda s: s["researcher-2"] == ("running", 0), "a release")


async def test_warren_stop_holds_every_replica(watched: Watched):
    watched.watch.hold("researcher")
    await watched.until(lambda s: s["researcher-1"][0] == s["researcher-2"][0] == "held", "two holds")
    # "held" is said when the order is given; `docker wait` returns once the container has ended.
    await order("wait", watched.container("researcher-1"))
    assert watched.states()["memory-1"] == ("running", 0)


async def test_scaling_out_adds_a_child_and_scaling_in_forgets_one(watched: Watched, project: str):
    await asyncio.to_thread(run_container, project, "researcher", number=3)
    await watched.until(lambda s: s.get("researcher-3") == ("running", 0), "a third researcher")
    container = watched.container("researcher-3")
    await order("stop", "-t", "5", container)
    await order("rm", container)
    await watched.until(lambda s: "researcher-3" not in s, "two researchers")
    assert {restarts for _, restarts in watched.states().values()} == {0}


async def test_a_new_watchdog_adopts_and_starts_what_died_meanwhile(
    watched: Watched, proxy: str, project: str, tmp_path: Path
):
    dead = watched.container("memory-1")
    await watched.close()
    await order("kill", dead)
    successor = Watched(proxy, project, tmp_path)
    expected = {"memory-1": "running", "researcher-1": "running", "researcher-2": "running"}
    await successor.until(lambda s: {name: state for name, (state, _) in s.items()} == expected, "all to run")
    assert {restarts for name, (_, restarts) in successor.states().items() if name != "memory-1"} == {0}
    await successor.close()


async def test_a_new_tree_takes_up_containers_that_run_already_and_starts_none_again(watched: Watched, project: str):
    """Of a service that the tree did not know: one was there before it was read, one came while it was in force."""
    began = {}
    for number in (1, 2):
        made = await asyncio.to_thread(run_container, project, "writer", number=number)
        began[f"writer-{number}"] = await order("inspect", "-f", "{{.State.StartedAt}}", made)
    engine = watched.watch.engine
    await watched.until(lambda _: all(engine.whereabouts(name).container for name in began), "both are seen")
    assert began.keys().isdisjoint(watched.states())
    tree = TREE + TREE.partition('[[children]]\ngroup = "researcher"')[0].replace("memory", "writer")
    watched.watch.reload(parse_tree(tree, mode="docker"))
    await watched.until(lambda s: {s.get(name) for name in began} == {("running", 0)}, "both are taken up")
    for name, at in began.items():
        assert await order("inspect", "-f", "{{.State.StartedAt}}", watched.container(name)) == at
    assert {restarts for _, restarts in watched.states().values()} == {0}
