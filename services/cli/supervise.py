"""`warren ps`, `stop`, `release`, `kill`, `scale`: people and the watchdog."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from services.cli import compose
from services.cli.children import shaped
from services.cli.console import duration, print_json, print_table, say
from services.cli.handshake import broker_at
from services.cli.mesh import Mesh, locate
from services.cli.options import AsJson, Url
from services.cli.outcome import Exit, run_async
from services.cli.without_broker import noted_rows
from shared.errors import NoMesh, NoReply, RequestFailed

if TYPE_CHECKING:
    from services.cli.connection import MeshClient
    from shared.contracts.message import Command

PATIENCE_S = 3.0


def ps(*, as_json: AsJson = False, url: Url = None) -> int:
    """List what runs: services, instances, states, restarts; and which engine answers."""
    mesh = locate(url)
    told: list[str] = []
    rows = run_rows(mesh, told)
    if as_json:
        print_json(rows)
        return Exit.DONE
    headings = ("service", "instance", "pid" if mesh.mode != "docker" else "container", "state", "restarts", "up")
    table = [
        (
            row["service"],
            row["instance"],
            row.get("pid") or str(row.get("container", ""))[:12],
            row["state"],
            row.get("restarts", 0),
            duration(row.get("uptime_s", 0.0)) if row["state"] == "running" else "",
            row.get("reason"),
        )
        for row in rows
    ]
    print_table((*headings, "reason"), table, empty="no services")
    for engine in {row["engine"]: None for row in rows if row.get("engine")}:
        print(f"engine: {engine}")
    for line in told:
        print(line)
    return Exit.DONE


def stop(service: str, /, *, as_json: AsJson = False, url: Url = None) -> int:
    """Stop a service and hold it: the watchdog leaves it alone until `release`.

    Parameters
    ----------
    service: A service, or one instance such as researcher-2.
    """
    return _order("stop", service, as_json=as_json, url=url)


def release(service: str, /, *, as_json: AsJson = False, url: Url = None) -> int:
    """End a hold or a quarantine and start the service.

    Parameters
    ----------
    service: A service, or one instance.
    """
    return _order("release", service, as_json=as_json, url=url)


def kill(service: str, /, *, as_json: AsJson = False, url: Url = None) -> int:
    """SIGKILL one instance of a service, to see it come back.

    Parameters
    ----------
    service: A service, or one instance.
    """
    return _order("kill", service, as_json=as_json, url=url)


def scale(service: str, replicas: int, /, *, as_json: AsJson = False, url: Url = None) -> int:
    """Run this many instances of a service.

    Parameters
    ----------
    service: researcher, writer, inference or memory.
    replicas: How many.
    """
    return _order("scale", service, as_json=as_json, url=url, replicas=replicas)


def run_rows(mesh: Mesh, told: list[str] | None = None) -> list[dict[str, Any]]:
    """The rows of `ps`: from the watchdog, else from its notes, else from Compose. Raises NoMesh.

    `told`: gets the bottleneck, if there is one.
    """
    rows: list[dict[str, Any]] = []

    async def work() -> int:
        from services.cli.connection import connected

        async with connected(mesh=mesh) as client:
            rows.extend(await asked(client, told))
        return Exit.DONE

    found = broker_at(mesh.url)
    noted, said = ([], "") if found.answers else _without_broker(mesh)
    if noted:  # known at once, without waiting for a broker
        say(said or f"no broker answers at {mesh.address}; this is what is known without")
        return noted
    try:
        run_async(work)
        return rows
    except (NoMesh, NoReply) as error:
        noted, said = _without_broker(mesh)
        if not noted:
            raise
        say(said or f"{error.reason}; this is what is known without")
        return noted


async def asked(client: MeshClient, told: list[str] | None = None) -> list[dict[str, Any]]:
    """The watchdog's answer, with what inference says of its engine, and (into `told`) of what waits for it."""
    from services.cli.bottleneck import bottleneck
    from shared.contracts.generation import DescribeEngine, EngineDescribed
    from shared.contracts.supervision import ChildrenListed, ListChildren

    listed = await client.ask(ListChildren(), ChildrenListed, deadline_s=PATIENCE_S)
    rows = [shaped(child.model_dump(mode="json")) for child in listed.children]
    inference = [row for row in rows if row["service"] == "inference" and row["state"] == "running"]
    if inference:
        try:
            engine = await client.ask(DescribeEngine(), EngineDescribed, deadline_s=PATIENCE_S)
        except (NoReply, RequestFailed):
            return rows
        found = bottleneck(engine)
        if found and told is not None:
            told.append(found)
        for row in inference:
            row["engine"] = engine.engine + (f" - {engine.reason}" if engine.reason else "")
    return rows


def _without_broker(mesh: Mesh) -> tuple[list[dict[str, Any]], str]:
    """Rows, and what the watchdog says of the broker."""
    if mesh.found_by in {"--url", "WARREN_AMQP_URL"}:
        return [], ""
    rows, away = noted_rows(mesh)
    return (rows, away) if rows or mesh.mode != "docker" else (_containers(), "")


def _containers() -> list[dict[str, Any]]:
    """What Compose says of the containers, one JSON object a line."""
    states = {"running": "running", "created": "starting", "restarting": "starting"}
    found = [json.loads(line) for line in compose.output("ps", "--all", "--format", "json").splitlines() if line]
    return [
        {
            "service": c.get("Service", "?"),
            "instance": c.get("Name", "?"),
            "container": c.get("ID", ""),
            "state": states.get(c.get("State", ""), "stopped"),
            "restarts": 0,
            "uptime_s": 0.0,
        }
        for c in found
    ]


def _order(order: str, service: str, *, as_json: bool, url: str | None, replicas: int = 0) -> int:
    """In containers Compose is the one to ask: the watchdog sees who did it, and lets people win."""
    mesh = locate(url)
    if mesh.mode == "docker":
        _by_compose(order, service, replicas)
        count = replicas or 1
    else:
        count = _by_watchdog(mesh, _command(order, service, replicas))
    done = {"stop": "stopped", "release": "released", "kill": "killed", "scale": "scaled"}[order]
    if as_json:
        print_json({"service": service, "order": order, "count": count})
    else:
        say(f"{service}: {count} {done}")
    return Exit.DONE


def _by_compose(order: str, service: str, replicas: int) -> None:
    if order == "kill":
        first = compose.output("ps", "--quiet", service).split()[:1]
        if not first:
            from services.cli.outcome import CommandFailed

            raise CommandFailed(f"no container of {service} runs")
        compose.kill(first[0])
        return
    words = {
        "stop": ("stop", service),
        "release": ("start", service),
        "scale": ("up", "-d", "--no-recreate", "--no-deps", "--scale", f"{service}={replicas}", service),
    }
    compose.show(*words[order])


def _by_watchdog(mesh: Mesh, command: Command) -> int:
    from services.cli.connection import connected
    from shared.contracts.message import Done

    counts: list[int] = []

    async def work() -> int:
        async with connected(mesh=mesh) as client:
            counts.append((await client.ask(command, Done, deadline_s=30)).count)
        return Exit.DONE

    run_async(work)
    return counts[0]


def _command(order: str, service: str, replicas: int) -> Command:
    from shared.contracts.supervision import KillService, ReleaseService, ScaleService, StopService

    if order == "scale":
        return ScaleService(service=service, replicas=replicas)
    simple = {"stop": StopService, "release": ReleaseService, "kill": KillService}
    return simple[order](service=service)
