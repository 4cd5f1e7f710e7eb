"""The keyhole to Docker, against a real engine: what is allowed works, all else is 403 and changes nothing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from aiohttp import ClientSession, web
from yarl import URL

from services.watchdog.socket_proxy import READS, Proxy, docker_session
from tests.integration.engines import need_docker

IMAGE = "python:3.13-slim"
LOOP = 'trap "exit 0" TERM; while :; do sleep 600 & wait $!; done'
LONG = 64 * "a"


def docker(*words: str) -> str:
    answer = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=120, check=False)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


def run_container(project: str, service: str | None, *, number: int = 1, env: str = "SECRET=hunter2") -> str:
    """A container as compose would make it; its full id."""
    labels = {"com.docker.compose.project": project, "com.docker.compose.container-number": str(number)}
    if service:
        labels["warren.supervise.id"] = service
    words = [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]
    return docker("run", "-d", "--network", "none", "-e", env, *words, IMAGE, "sh", "-c", LOOP)


def state(container: str) -> str:
    return docker("inspect", "-f", "{{.State.Status}} {{.State.StartedAt}}", container)


@dataclass
class Docker:
    project: str
    ours: str
    unlabelled: str
    foreign: str


@pytest.fixture(scope="module")
def engine() -> Iterator[Docker]:
    need_docker()
    project = f"warren-test-{uuid4().hex[:8]}"
    made = Docker(
        project,
        run_container(project, "researcher"),
        run_container(project, None),
        run_container(f"{project}-other", "researcher"),
    )
    yield made
    docker("rm", "-f", made.ours, made.unlabelled, made.foreign)


@dataclass
class Keyhole:
    url: str
    client: ClientSession

    async def call(self, method: str, path: str, **more: object) -> tuple[int, str]:
        async with self.client.request(method, URL(self.url + path, encoded=True), **more) as answer:  # type: ignore[arg-type]
            return answer.status, await answer.text()


@pytest.fixture
async def keyhole(engine: Docker) -> AsyncIterator[Keyhole]:
    async with docker_session(Path("/var/run/docker.sock")) as session, ClientSession() as client:
        server = web.Server(Proxy(session, engine.project).handle)
        runner = web.ServerRunner(server, handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        yield Keyhole(f"http://127.0.0.1:{port}", client)
        await runner.cleanup()


async def test_ping_and_version_pass(keyhole: Keyhole):
    assert (await keyhole.call("GET", "/_ping")) == (200, "OK")
    status, body = await keyhole.call("GET", "/version")
    assert status == 200
    assert "ApiVersion" in json.loads(body)


async def test_the_list_shows_our_containers_only_whatever_is_asked_for(keyhole: Keyhole, engine: Docker):
    status, body = await keyhole.call("GET", "/v1.41/containers/json?all=1&filters={}")
    assert status == 200
    assert {row["Id"] for row in json.loads(body)} == {engine.ours}


async def test_an_inspection_tells_state_and_labels_but_no_secrets(keyhole: Keyhole, engine: Docker):
    status, body = await keyhole.call("GET", f"/v1.41/containers/{engine.ours}/json")
    assert status == 200
    assert json.loads(body)["State"]["Running"] is True
    assert "hunter2" not in body


async def test_the_states_of_its_processes_are_told_but_no_command_lines(keyhole: Keyhole, engine: Docker):
    status, body = await keyhole.call("GET", f"/v1.41/containers/{engine.ours}/top")
    assert status == 200
    found = json.loads(body)
    assert found["Titles"] == ["PID", "STAT"]
    assert {state[:1] for _, state in found["Processes"]} <= {"S", "R", "D"}


async def test_its_last_lines_are_told(keyhole: Keyhole, engine: Docker):
    path = f"/v1.41/containers/{engine.ours}/logs"
    assert (await keyhole.call("GET", path))[0] == 200
    assert (await keyhole.call("GET", f"{path}?stdout=1&stderr=1&follow=0&tail=20&until=1700000000.5"))[0] == 200


async def test_an_older_leader_can_start_but_not_end_anything(keyhole: Keyhole, engine: Docker):
    path = f"/v1.41/containers/{engine.ours}"
    assert (await keyhole.call("POST", f"{path}/kill?signal=SIGKILL&epoch=7"))[0] == 204
    assert (await keyhole.call("POST", f"{path}/start"))[0] == 204
    before = state(engine.ours)
    for call in ("kill?signal=SIGKILL&epoch=6", "stop?epoch=6&t=1", "restart?t=1&epoch=6", "kill?signal=SIGTERM"):
        assert (await keyhole.call("POST", f"{path}/{call}"))[0] == 403, call
    assert state(engine.ours) == before
    assert (await keyhole.call("POST", f"{path}/restart?t=1&epoch=8"))[0] == 204
    assert (await keyhole.call("GET", "/_ping?epoch=9"))[0] == 200
    assert (await keyhole.call("POST", f"{path}/restart?t=1&epoch=8"))[0] == 403, "a new leader has said so"


async def test_a_supervised_container_is_stopped_started_killed_and_restarted(keyhole: Keyhole, engine: Docker):
    path = f"/v1.41/containers/{engine.ours}"
    assert (await keyhole.call("POST", f"{path}/stop?t=5"))[0] == 204
    assert state(engine.ours).startswith("exited")
    assert (await keyhole.call("POST", f"{path}/start"))[0] == 204
    assert (await keyhole.call("POST", f"{path}/start"))[0] == 304
    assert (await keyhole.call("POST", f"{path}/kill?signal=SIGKILL"))[0] == 204
    assert (await keyhole.call("POST", f"{path}/restart?t=1"))[0] == 204
    assert state(engine.ours).startswith("running")


async def test_events_of_this_project_come_as_they_happen(keyhole: Keyhole, engine: Docker):
    async with keyhole.client.get(keyhole.url + "/v1.41/events") as stream:
        docker("kill", "-s", "HUP", engine.foreign)
        docker("kill", "-s", "CONT", engine.ours)
        event = json.loads(await stream.content.readline())
    assert (event["Action"], event["Actor"]["ID"]) == ("kill", engine.ours)


# privileged mode, the host's disk, its processes, its network: all of it would come in a body
CREATE = '{"Image": "python:3.13-slim", "HostConfig": {"Privileged": true, "Binds": ["/:/host"], "PidMode": "host"}}'
BODIES = [
    " ", CREATE, '{"HostConfig": {"Privileged": true}}', '{"HostConfig": {"Binds": ["/:/host"]}}',
    '{"HostConfig": {"NetworkMode": "host"}}', '{"HostConfig": {"PidMode": "host", "IpcMode": "host"}}',
    '{"HostConfig": {"UsernsMode": "host", "CapAdd": ["ALL"]}}',
]  # fmt: skip
CALLS = [
    ("GET", "/"), ("GET", "/info"), ("GET", "/images/json"), ("GET", "/networks"), ("GET", "/volumes"),
    ("GET", "/secrets"), ("GET", "/swarm"), ("GET", "/nodes"), ("GET", "/system/df"), ("HEAD", "/_ping"),
    ("POST", "/containers/create"), ("POST", "/v1.41/containers/create"), ("POST", "/build"), ("POST", "/auth"),
    ("POST", "/images/create?fromImage=x"), ("POST", "/commit?container={ours}"), ("POST", "/containers/prune"),
    ("POST", "/networks/create"), ("POST", "/volumes/create"), ("POST", "/swarm/init"), ("POST", "/session"),
    ("POST", "/plugins/pull"), ("POST", "/events"), ("POST", "/containers/json"), ("PUT", "/containers/json"),
    ("DELETE", "/containers/{ours}"), ("PUT", "/containers/{ours}/archive?path=/"), ("GET", "/containers/{ours}/start"),
    ("GET", "/containers/{ours}/archive?path=/etc"), ("GET", "/containers/{ours}/export"),
    ("GET", "/containers/{ours}/logs?follow=1"), ("GET", "/containers/{ours}/logs?tail=all"),
    ("GET", "/containers/{ours}/logs?tail=51"), ("GET", "/containers/{ours}/logs?since=1"),
    ("POST", "/containers/{ours}/logs"), ("GET", "/containers/{ours}/top?ps_args=-eo%20args"),
    ("GET", "/containers/{ours}/top?ps_args=aux"), ("POST", "/containers/{ours}/top"),
    ("GET", "/containers/{ours}/stats"), ("GET", "/containers/{ours}/changes"),
    ("GET", "/containers/{ours}/attach"), ("HEAD", "/containers/{ours}/archive?path=/run/secrets"),
    ("GET", "/containers/{ours}/checkpoints"), ("POST", "/containers/{ours}/checkpoints"),
    ("POST", "/containers/{ours}/copy"), ("GET", "/images/python/json"), ("GET", "/images/python/get"),
    ("POST", "/images/load"), ("POST", "/images/prune"), ("POST", "/images/python/push"), ("POST", "/images/x/tag"),
    ("GET", "/distribution/python/json"), ("POST", "/networks/x/connect"), ("POST", "/networks/x/disconnect"),
    ("POST", "/networks/prune"), ("DELETE", "/networks/bridge"), ("POST", "/volumes/prune"), ("GET", "/volumes/x"),
    ("POST", "/swarm/join"), ("POST", "/swarm/leave"), ("POST", "/swarm/update"), ("GET", "/swarm/unlockkey"),
    ("POST", "/services/create"), ("GET", "/services"), ("GET", "/tasks"), ("POST", "/secrets/create"),
    ("DELETE", "/secrets/x"), ("POST", "/configs/create"), ("GET", "/configs"), ("POST", "/nodes/x/update"),
    ("GET", "/plugins"), ("POST", "/plugins/x/enable"), ("POST", "/plugins/create"), ("DELETE", "/plugins/x"),
    ("POST", "/build/prune"), ("GET", "/exec/abc/json"), ("POST", "/exec/abc/resize"), ("GET", "/debug/pprof"),
    ("GET", "/metrics"), ("POST", "/grpc"), ("TRACE", "/_ping"), ("PUT", "/_ping"), ("DELETE", "/containers/json"),
    ("POST", "/containers/{ours}/kill?epoch=-1"), ("POST", "/containers/{ours}/start?epoch=9"),
    ("POST", "/containers/{ours}/kill?signal=SIGKILL&epoch=x"),
    ("GET", "/containers/{ours}/attach/ws"), ("POST", "/containers/{ours}/exec"), ("POST", "/containers/{ours}/attach"),
    ("POST", "/containers/{ours}/update"), ("POST", "/containers/{ours}/rename?name=x"),
    ("POST", "/containers/{ours}/pause"), ("POST", "/containers/{ours}/unpause"), ("POST", "/containers/{ours}/wait"),
    ("POST", "/containers/{ours}/resize"), ("POST", "/containers/{ours}/json"), ("POST", "/exec/abc/start"),
    ("DELETE", "/images/python"), ("DELETE", "/volumes/x"), ("DELETE", "/networks/x"), ("PATCH", "/containers/{ours}"),
    ("OPTIONS", "/containers/{ours}/stop"), ("POST", "/containers/{ours}/kill?signal=SIGSTOP"),
    ("POST", "/containers/{ours}/start?detachKeys=x"), ("POST", "/containers/{ours}/start?checkpoint=x"),
    ("POST", "/containers/{ours}/stop?t=-1"), ("POST", "/containers/{ours}/stop?t=1&signal=SIGSTOP"),
    ("GET", "/events?since=yesterday"), ("POST", "/containers/../containers/{ours}/stop"),
    ("POST", "//containers/{ours}/stop"), ("POST", "/containers/%2e%2e/containers/create"),
    ("POST", "/containers/{ours}%2fstop"), ("POST", "/containers/{ours}/stop/"), ("POST", "/containers/{ours}/STOP"),
    ("POST", "/v1.41/v1.41/containers/{ours}/stop"), ("POST", "/v9/containers/{ours}/stop"),
    ("POST", "/containers/python/stop"), ("POST", f"/containers/{LONG}/stop"), ("POST", "/containers/{ours}x/stop"),
]  # fmt: skip


def test_at_least_a_hundred_other_calls_are_tried():
    assert len(set(CALLS)) >= 100


@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_any_other_call_is_refused(keyhole: Keyhole, engine: Docker, method: str, path: str):
    status, _ = await keyhole.call(method, path.format(ours=engine.ours))
    assert status == 403


@pytest.mark.parametrize("verb", ["json", "top", "logs", "start", "stop", "kill", "restart"])
@pytest.mark.parametrize("which", ["unlabelled", "foreign"])
async def test_containers_that_are_not_ours_are_out_of_reach(keyhole: Keyhole, engine: Docker, verb: str, which: str):
    container = getattr(engine, which)
    before = state(container)
    status, _ = await keyhole.call("GET" if verb in READS else "POST", f"/v1.41/containers/{container}/{verb}")
    assert status == 403
    assert state(container) == before


@pytest.mark.parametrize(
    "path", ["/containers/create", "/containers/{ours}/start", "/containers/{ours}/restart", "/_ping"]
)
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("chunked", [False, True])
async def test_no_request_body_ever_passes(keyhole: Keyhole, engine: Docker, path: str, body: str, chunked: bool):
    async def parts() -> AsyncIterator[bytes]:
        yield body.encode()

    before = state(engine.ours)
    data = parts() if chunked else body
    method = "GET" if path == "/_ping" else "POST"
    assert (await keyhole.call(method, path.format(ours=engine.ours), data=data))[0] == 403
    assert state(engine.ours) == before


async def test_an_upgrade_is_refused(keyhole: Keyhole, engine: Docker):
    headers = {"Connection": "Upgrade", "Upgrade": "tcp"}
    assert (await keyhole.call("POST", f"/containers/{engine.ours}/start", headers=headers))[0] == 403
