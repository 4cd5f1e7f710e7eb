"""`warren doctor`: what is installed, what is reachable, what is wrong, and what to do about it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from services.cli import compose
from services.cli.console import print_json, say
from services.cli.mesh import Mesh, keeper_alive, locate
from services.cli.options import AsJson, Url
from services.cli.outcome import Exit, run_async

Verdict = Literal["ok", "note", "wrong"]
SIGN = {"ok": "✓", "note": "·", "wrong": "✗"}
FREE_MB = 500
RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `needed`: no mesh can run while it is wrong. `hint`: what to do."""

    name: str
    verdict: Verdict
    text: str
    hint: str | None = None
    needed: bool = False


def doctor(*, as_json: AsJson = False, url: Url = None) -> int:
    """Look at what a mesh needs, and at the mesh if there is one. Exit code 0 when a mesh can run."""
    mesh = locate(url)
    checks = [python_check(sys.version_info[:3]), home_check(mesh.home), disk_check(mesh.home)]
    broker = broker_check(mesh)
    checks += [broker, *supply_checks(broker_answers=broker.verdict == "ok")]
    if broker.verdict == "ok":
        checks += mesh_checks(mesh)
    runs = can_run(checks)
    if as_json:
        print_json({"can_run": runs, "checks": [vars(check) for check in checks]})
    else:
        for check in checks:
            print(f"{SIGN[check.verdict]} {check.name:<10} {check.text}")
            if check.hint and check.verdict != "ok":
                print(f"{'':13}{check.hint}")
        say("\na mesh can run here" if runs else "\na mesh cannot run here yet: see ✗")
    return Exit.DONE if runs else Exit.FAILED


def can_run(checks: Sequence[Check]) -> bool:
    """Nothing that is needed is wrong."""
    return not any(check.needed and check.verdict == "wrong" for check in checks)


def python_check(version: Sequence[int]) -> Check:
    text = ".".join(map(str, version))
    if tuple(version) >= (3, 11):
        return Check("python", "ok", text, needed=True)
    return Check("python", "wrong", text, "Warren needs 3.11 or newer: infra/setup finds or names one", needed=True)


def home_check(home: Path) -> Check:
    """Can the state folder be written, or made?"""
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    running = ", its mesh runs" if keeper_alive(home) else ""
    if existing.is_dir() and os.access(existing, os.W_OK):
        return Check("home", "ok", f"{home}{'' if home.exists() else ' (not made yet)'}{running}", needed=True)
    return Check("home", "wrong", f"{existing} cannot be written", "set WARREN_HOME to a folder of yours", needed=True)


def disk_check(home: Path) -> Check:
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(existing).free // 1_000_000
    if free >= FREE_MB:
        return Check("disk", "ok", f"{free:,} MB free", needed=True)
    return Check("disk", "wrong", f"only {free:,} MB free", f"RabbitMQ and the library want {FREE_MB} MB", needed=True)


def broker_check(mesh: Mesh) -> Check:
    """Does a RabbitMQ answer where the mesh should be, and does it let us in?"""
    from services.cli.handshake import broker_at

    found = broker_at(mesh.url)
    if not found.answers:
        return Check("broker", "note", f"none at {mesh.address} ({mesh.found_by}): {found.problem}", "warren up")
    text = f"{found.product} {found.version} at {mesh.address} ({mesh.found_by})"
    if found.version and found.version_tuple < (3, 10):
        return Check("broker", "wrong", text, "Warren needs RabbitMQ 3.10 or newer")
    return Check("broker", "ok", text)


def supply_checks(*, broker_answers: bool) -> list[Check]:
    """Where a broker could come from: one that answers, one that is installed, one in a container."""
    installed = RABBITMQ.exists() or shutil.which("rabbitmq-server") is not None
    docker = compose.engine_answers()
    some = broker_answers or installed or docker
    return [
        Check(
            "rabbitmq",
            "ok" if installed else ("note" if some else "wrong"),
            "rabbitmq-server is installed" if installed else "no rabbitmq-server on this machine",
            None if some else "infra/setup --broker installs it; or start Docker, or set WARREN_AMQP_URL",
            needed=not some,
        ),
        Check(
            "docker",
            "ok" if docker else "note",
            "an engine answers" if docker else "no engine answers",
            None if docker else "needed for WARREN_MODE=docker only",
        ),
    ]


def mesh_checks(mesh: Mesh) -> list[Check]:
    """What the mesh says of itself."""
    from services.cli.connection import connected
    from services.cli.supervise import asked
    from shared.errors import WarrenError

    checks: list[Check] = []

    async def work() -> int:
        async with connected(mesh=mesh) as client:
            try:
                rows = await asked(client)
            except WarrenError as error:
                checks.append(Check("services", "wrong", error.reason, "is the mesh up? warren up"))
                return Exit.DONE
        down = [f"{row['instance']} is {row['state']}" for row in rows if row["state"] != "running"]
        text = f"{len(rows) - len(down)} of {len(rows)} run" + (f"; {', '.join(down)}" if down else "")
        checks.append(
            Check("services", "wrong" if down else "ok", text, "warren ps, warren logs, warren release SERVICE")
        )
        for engine in {str(row["engine"]): None for row in rows if row.get("engine")}:
            fallback = " - " in engine
            checks.append(Check("engine", "note" if fallback else "ok", engine, None))
        return Exit.DONE

    try:
        run_async(work)
    except WarrenError as error:
        checks.append(
            Check("login", "wrong", error.reason, error.hint or "is the user and password in the address right?")
        )
    return checks
