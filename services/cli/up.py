"""`warren up` and `down`: the mesh of this folder, as processes under a keeper or as containers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from services.cli import compose
from services.cli.children import living, noted
from services.cli.console import duration, print_json, say
from services.cli.mesh import Mesh, keeper_alive, locate, near_name, read_record
from services.cli.options import AsJson
from services.cli.outcome import CommandFailed, Exit, UsageError

DOWN_S = 60.0
"""The keeper gives everybody 40 s; after that nothing of it is left."""
LOOK_S = 0.05


def up(*, timeout: float = 60.0, as_json: AsJson = False) -> int:
    """Start the mesh of this folder and leave it running. Prints the broker's address.

    WARREN_MODE=process|docker chooses how; by default docker where an engine answers.

    Parameters
    ----------
    timeout: Seconds until everything must run.
    """
    if timeout <= 0:
        raise UsageError("--timeout must be more than 0 seconds")
    mesh = locate()
    mode = chosen_mode()
    if mode == "docker":
        _up_docker(mesh.home)
    else:
        up_process(mesh.home, timeout_s=timeout)
    url = str(read_record(mesh.home).get("amqp_url", ""))
    print_json({"amqp_url": url, "mode": mode, "home": str(mesh.home)}) if as_json else print(url)
    return Exit.DONE


def down() -> int:
    """Stop the mesh of this folder. What it has stored stays."""
    mesh = locate()
    if keeper_alive(mesh.home):
        return down_process(mesh.home)
    if _is_docker(mesh):
        compose.show("down")
        (mesh.home / "mesh.json").unlink(missing_ok=True)
        return Exit.DONE
    say(f"nothing runs in {near_name(mesh.home, Path.cwd())}")
    return Exit.DONE


def chosen_mode() -> str:
    """WARREN_MODE; else docker where an engine and a compose file are there; else process."""
    from services.cli.settings import Settings

    if mode := Settings().mode:
        return mode
    return "docker" if compose.has_file() and compose.engine_answers() else "process"


def up_process(home: Path, *, timeout_s: float) -> bool:
    """Starts the keeper and waits until all its children run. False when it ran before. Raises CommandFailed."""
    began = time.time()
    keeper: subprocess.Popen[bytes] | None = None
    ran = keeper_alive(home)
    if not ran:
        (home / "run").mkdir(parents=True, exist_ok=True)
        keeper = subprocess.Popen(
            [sys.executable, "-m", "services.watchdog.keeper"],
            cwd=compose.ROOT,
            env={**os.environ, "WARREN_HOME": str(home), "WARREN_MODE": "process"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # outlives this terminal
        )
    _wait_until_up(home, since=0.0 if ran else began, keeper=keeper, deadline=began + timeout_s)
    say(f"{'already up' if ran else 'up'}: {len(noted(home))} services run ({duration(time.time() - began)})")
    return not ran


def _wait_until_up(home: Path, *, since: float, keeper: subprocess.Popen[bytes] | None, deadline: float) -> None:
    told = ""
    while True:
        rows = noted(home) if _written(home) >= since else []
        waiting = {str(row.get("instance")): row for row in rows if row.get("state") != "running"}
        if rows and not waiting and _written(home, "mesh.json") >= since:
            return
        if keeper and keeper.poll() is not None and not keeper_alive(home):
            raise CommandFailed(f"the keeper ended with {keeper.returncode}\n{_tail(home / 'logs' / 'watchdog.log')}")
        if time.time() > deadline:
            what = ", ".join(f"{name} ({row.get('state')}: {row.get('reason')})" for name, row in waiting.items())
            raise CommandFailed(
                f"not everything runs yet: {what or 'the watchdog has not spoken'}",
                hint=f"it goes on starting; look with `warren ps` and into {home / 'logs'}, or `warren down`",
            )
        news = f"starting: {', '.join(waiting) or 'the watchdog'}"
        if news != told:
            say(news)
            told = news
        time.sleep(LOOK_S)  # before there is a loop, or a mesh that could tell


def down_process(home: Path) -> int:
    """Ends the keeper, and with it everything it started; waits until all is gone."""
    pid = read_record(home).get("keeper_pid")
    if not isinstance(pid, int):
        raise CommandFailed(
            f"{home / 'mesh.json'} does not say who the keeper is", hint="look for services.watchdog.keeper"
        )
    children = living(home)
    say(f"stopping {len(children)} services")
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    if _wait(lambda: not keeper_alive(home) and not living(home), DOWN_S):
        say("everything is stopped")
        return Exit.DONE
    left = ", ".join(f"{row.get('instance')} (pid {row.get('pid')})" for row in living(home))
    raise CommandFailed(f"still there after {DOWN_S:.0f} s: {left or f'the keeper (pid {pid})'}", hint=f"kill -9 {pid}")


def _up_docker(home: Path) -> None:
    if not compose.has_file():
        raise CommandFailed("there is no docker-compose.yml here", hint="run it in Warren's checkout")
    compose.show("up", "-d", "--wait")
    home.mkdir(parents=True, exist_ok=True)
    record = {"amqp_url": compose.client_url(os.environ), "mode": "docker", "started_at": time.time()}
    with open(os.open(home / "mesh.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(record, file, indent=1)


def _is_docker(mesh: Mesh) -> bool:
    return mesh.mode == "docker" or (chosen_mode() == "docker" and bool(compose.output("ps", "--quiet").strip()))


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_S)  # before there is a loop, or a mesh that could tell
    return True


def _written(home: Path, name: str = "run/children.json") -> float:
    try:
        return (home / name).stat().st_mtime
    except OSError:
        return -1.0


def _tail(log: Path, lines: int = 5) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "and left no log"
