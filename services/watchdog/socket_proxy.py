"""The keyhole to Docker: the only process that sees the socket, and what it lets through.

    GET   /_ping /version                     as they are
    GET   /containers/json /events            narrowed to supervised containers of this compose project
    GET   /containers/<id>/json               of supervised containers; what it says of secrets is left out
    GET   /containers/<id>/top                of supervised containers: states of processes, no command lines
    GET   /containers/<id>/logs               of supervised containers: at most the last 50 lines
    POST  /containers/<id>/(start|stop|kill|restart)   of supervised containers only
    anything else, any request body, any upgrade: 403

A target is checked by inspecting it, not by what the caller says of it, and the call goes to the id that was inspected.
Of two watchdogs only the later leader may end anything: a call with an older epoch than one seen before is refused.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from aiohttp import ClientSession, ClientTimeout, UnixConnector, web
from yarl import URL

from services.watchdog.containers import PROJECT, SUPERVISED, is_ours
from shared.runtime import logging
from shared.runtime.heartbeat import beat
from shared.runtime.settings import MeshSettings

PATH = re.compile(r"(?P<version>/v1\.\d{1,3})?(?P<rest>/.*)")
TARGET = re.compile(r"/containers/(?P<id>[0-9a-f]{12,64})/(?P<verb>json|top|logs|start|stop|kill|restart)")
SINCE = re.compile(r"\d{1,12}(\.\d{1,9})?")
EPOCH = "epoch"
"""A parameter of ours: the number of the leader that asks. Docker never sees it."""
_NUMBER, _YES, _NO = re.compile(r"\d{1,12}"), re.compile(r"1|[Tt]rue"), re.compile(r"0|[Ff]alse")
PARAMETERS = {
    "/_ping": {EPOCH: _NUMBER},
    "/version": {},
    "json": {},
    "top": {},
    "logs": {"stdout": _YES, "stderr": _YES, "follow": _NO, "tail": re.compile(r"\d|[1-4]\d|50"), "until": SINCE},
    "start": {},
    "stop": {"t": re.compile(r"\d{1,4}"), EPOCH: _NUMBER},
    "restart": {"t": re.compile(r"\d{1,4}"), EPOCH: _NUMBER},
    "kill": {"signal": re.compile(r"SIGTERM|SIGKILL|15|9"), EPOCH: _NUMBER},
}
READS = ("json", "top", "logs")
STATES = {"ps_args": "-eo pid,stat"}
LAST_LINES = {"stdout": "1", "stderr": "1", "tail": "50"}
STATE = ("Id", "Name", "Created", "State", "RestartCount")
log = structlog.get_logger()


class Settings(MeshSettings):
    """Listens on a private network of its own, shared with the watchdog only."""

    compose_project: str = "warren"
    docker_socket: Path = Path("/var/run/docker.sock")
    bind_host: str = "0.0.0.0"
    bind_port: int = 2375


class Refused(Exception):
    """Not on the list."""


@dataclass
class Proxy:
    """`session` is connected to Docker's socket."""

    session: ClientSession
    project: str
    epoch: int = 0
    """The latest leader's, as far as this process has heard."""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request: allowed, or 403 with the reason."""
        try:
            _refuse_body(request)
            path = PATH.fullmatch(request.raw_path.partition("?")[0])
            if path is None:
                raise Refused("path")
            return await self._route(request, path["version"] or "", path["rest"])
        except Refused as error:
            log.warning("refused", method=request.method, path=request.raw_path[:300], reason=str(error))
            return web.json_response({"message": f"refused by Warren's socket proxy: {error}"}, status=403)

    async def _route(self, request: web.BaseRequest, version: str, rest: str) -> web.StreamResponse:
        target = TARGET.fullmatch(rest)
        if request.method == "GET" and rest in ("/_ping", "/version"):
            _check_parameters(rest, request.query)
            self.epoch = max(self.epoch, int(request.query.get(EPOCH, "0")))  # a new leader says so
            return await self._pass(request, version + rest, {})
        if request.method == "GET" and rest == "/containers/json":
            return await self._pass(request, version + rest, {"all": "true", "filters": self._filters()})
        if request.method == "GET" and rest == "/events":
            return await self._pass(request, version + rest, self._events_query(request.query))
        if request.method == "GET" and target and target["verb"] in READS:
            return await self._read(request, version, target)
        if request.method == "POST" and target and target["verb"] not in READS:
            return await self._act(request, version, target)
        raise Refused("method or path")

    async def _read(self, request: web.BaseRequest, version: str, target: re.Match[str]) -> web.StreamResponse:
        if target["verb"] != "json":  # an inspection has always ignored its parameters
            _check_parameters(target["verb"], request.query)
        found = await self._inspect(version, target["id"])
        path = f"{version}/containers/{found['Id']}/{target['verb']}"
        if target["verb"] == "top":
            return await self._pass(request, path, STATES)
        if target["verb"] == "logs":
            until = {"until": request.query["until"]} if "until" in request.query else {}
            return await self._pass(request, path, {**LAST_LINES, **until})
        config = {"Labels": found["Config"]["Labels"], "Tty": found["Config"].get("Tty", False)}
        return web.json_response({**{key: found.get(key) for key in STATE}, "Config": config})

    async def _act(self, request: web.BaseRequest, version: str, target: re.Match[str]) -> web.StreamResponse:
        verb, query = target["verb"], dict(request.query)
        _check_parameters(verb, query)
        found = await self._inspect(version, target["id"])
        epoch = int(query.pop(EPOCH, "0"))
        if verb != "start" and epoch < self.epoch:  # asked last, so that nothing is awaited between here and the call
            raise Refused(f"epoch {epoch} is over, {self.epoch} leads")
        self.epoch = max(self.epoch, epoch)
        log.info("allowed", verb=verb, container=found.get("Name"), query=query, epoch=epoch)
        return await self._pass(request, f"{version}/containers/{found['Id']}/{verb}", query)

    async def _inspect(self, version: str, container: str) -> dict[str, Any]:
        url = URL(f"http://docker{version}/containers/{container}/json", encoded=True)
        async with self.session.get(url) as answer:
            found: dict[str, Any] = await answer.json() if answer.status == 200 else {}
        labels = (found.get("Config") or {}).get("Labels") or {}
        if not is_ours(labels, self.project):
            raise Refused(f"{container[:12]} is not a supervised container of this project")
        return found

    def _filters(self, **more: list[str]) -> str:
        return json.dumps({"label": [f"{PROJECT}={self.project}", SUPERVISED], **more})

    def _events_query(self, query: Mapping[str, str]) -> dict[str, str]:
        since = query.get("since")
        if since is not None and not SINCE.fullmatch(since):
            raise Refused("parameter since")
        return {"filters": self._filters(type=["container"]), **({"since": since} if since else {})}

    async def _pass(self, request: web.BaseRequest, path: str, query: dict[str, str]) -> web.StreamResponse:
        """Our own request to Docker: nothing of the caller's headers goes along, never a body."""
        url = URL(f"http://docker{path}", encoded=True).with_query(query)
        async with self.session.request(request.method, url) as answer:
            response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response


def _check_parameters(verb: str, query: Mapping[str, str]) -> None:
    allowed = PARAMETERS[verb]
    for name, value in query.items():
        if name not in allowed or not allowed[name].fullmatch(value):
            raise Refused(f"parameter {name}={value[:50]}")


def _refuse_body(request: web.BaseRequest) -> None:
    if request.headers.getall("Content-Length", ["0"]) != ["0"] or "Transfer-Encoding" in request.headers:
        raise Refused("a request body")
    if "Upgrade" in request.headers or "upgrade" in request.headers.get("Connection", "").lower():
        raise Refused("an upgrade")


def docker_session(socket: Path) -> ClientSession:
    """A session that ends in Docker's socket, without time-outs: events may be silent for days, a stop takes time."""
    return ClientSession(connector=UnixConnector(str(socket), limit=0), timeout=ClientTimeout(total=None))


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with docker_session(settings.docker_socket) as session:
        server = web.Server(Proxy(session, settings.compose_project).handle)
        runner = web.ServerRunner(server, handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, settings.bind_host, settings.bind_port).start()
        beating = asyncio.create_task(beat(settings.beat_file, lambda: {"ready": True, "reason": ""}))
        log.info("listening", port=settings.bind_port, project=settings.compose_project)
        await stop.wait()
        beating.cancel()
        await runner.cleanup()


if __name__ == "__main__":
    chosen = Settings()
    logging.configure(service="socket-proxy", instance="socket-proxy-1", level=chosen.log_level, form=chosen.log_format)
    asyncio.run(serve(chosen))
