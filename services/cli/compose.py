"""Docker Compose, as the command line that people use themselves."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from services.cli.outcome import CommandFailed

ROOT = Path(__file__).resolve().parents[2]
"""The checkout; where Warren is installed as a package there is no compose file in it."""
SHORT_S, LONG_S = 10, 900


def has_file() -> bool:
    return (ROOT / "docker-compose.yml").is_file()


def engine_answers() -> bool:
    """Does a Docker engine with Compose answer?"""
    try:
        done = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            timeout=SHORT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def output(*arguments: str) -> str:
    """What `docker compose ARGUMENTS` prints. Raises CommandFailed with its own words."""
    done = _run(arguments, capture=True)
    if done.returncode:
        raise CommandFailed(f"docker compose {arguments[0]} failed: {done.stderr.strip()[-500:]}")
    return done.stdout


def show(*arguments: str) -> None:
    """Runs `docker compose ARGUMENTS`; its progress goes to stderr. Raises CommandFailed."""
    done = _run(arguments, capture=False)
    if done.returncode:
        raise CommandFailed(f"docker compose {' '.join(arguments)} ended with {done.returncode}")


def client_url(environment: Mapping[str, str]) -> str:
    """The broker's address on this machine, with the client's password."""
    address = output("port", "rabbitmq", "5672").strip().replace("0.0.0.0", "127.0.0.1")
    password = environment.get("WARREN_CLIENT_PASSWORD") or _dotenv().get("WARREN_CLIENT_PASSWORD") or "warren"
    return f"amqp://client:{password}@{address}/"


def _run(arguments: tuple[str, ...], *, capture: bool) -> subprocess.CompletedProcess[str]:
    command = ["docker", "compose", *arguments]
    try:
        if capture:
            return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        return subprocess.run(command, cwd=ROOT, stdout=2, text=True, timeout=LONG_S, check=False)
    except FileNotFoundError:
        raise CommandFailed("there is no docker command here", hint="WARREN_MODE=process needs none") from None
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"docker compose {arguments[0]} did not end in time") from None


def _dotenv() -> dict[str, str]:
    """What `.env` beside the compose file sets: compose reads it, so must we."""
    try:
        lines = (ROOT / ".env").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.lstrip().startswith("#"))
    return {name.strip(): value.strip().strip("'\"") for name, value in pairs}


def kill(container: str) -> None:
    """SIGKILL one container. Raises CommandFailed."""
    done = subprocess.run(
        ["docker", "kill", container],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise CommandFailed(f"docker kill failed: {done.stderr.strip()[-500:]}")


def hang_up(service: str) -> None:
    """SIGHUP to each of its containers, from within: after `docker kill`, whatever the signal, Docker would not restart
    them by its own policy any more. Raises CommandFailed."""
    for container in output("ps", "--quiet", service).split():
        command = ["docker", "exec", container, "sh", "-c", "kill -HUP 1"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise CommandFailed(f"docker exec failed: {done.stderr.strip()[-500:]}")


def lines_of(*arguments: str) -> Iterator[str]:
    """The lines that `docker compose ARGUMENTS` prints, as they come. Raises CommandFailed."""
    command = ["docker", "compose", "--ansi", "never", *arguments]
    try:
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, errors="replace") as running:
            for line in running.stdout or ():
                yield line.removeprefix("\x1b[2K").rstrip()  # Compose wipes the line even where there is none
    except FileNotFoundError:
        raise CommandFailed("there is no docker command here") from None
    if running.returncode:
        raise CommandFailed(f"docker compose {arguments[0]} ended with {running.returncode}")
