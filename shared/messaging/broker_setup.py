"""Runs once before the broker of `docker-compose.yml` starts: passwords, and the definitions that the broker loads.

A service's password comes from `WARREN_<SERVICE>_PASSWORD`, else from what an earlier run left, else it is drawn at
random; it is written to `<secrets>/<service>`, readable by that service's uid only. The client's is
`WARREN_CLIENT_PASSWORD`. May run twice: it changes nothing then, unless the environment has changed.

Exit code 1, with what to do, when the broker would listen beyond this machine with the password that everyone knows.
"""

import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from shared.errors import ConfigurationError
from shared.messaging.definitions import (
    CLIENT,
    DEFAULT_CLIENT_PASSWORD,
    SERVICES,
    committed,
    definitions,
    password_hash,
    render,
)

LOOPBACK = ("127.", "::1", "[::1]", "localhost")
MIN_PASSWORD = 8
UIDS = {"planner": 10001, "memory": 10002, "inference": 10003, "researcher": 10004, "writer": 10005, "watchdog": 10006}
"""The uid that each service's container runs as; `docker-compose.yml` says the same."""


def refuse_open_default(environ: Mapping[str, str]) -> None:
    """Raises `ConfigurationError` if the broker's port would be open to others with the default password."""
    bind = environ.get("WARREN_BIND") or "127.0.0.1"
    if bind.startswith(LOOPBACK):
        return
    password = environ.get("WARREN_CLIENT_PASSWORD") or DEFAULT_CLIENT_PASSWORD
    if password == DEFAULT_CLIENT_PASSWORD or len(password) < MIN_PASSWORD:
        raise ConfigurationError(
            f"WARREN_BIND={bind} opens the broker to other machines, and WARREN_CLIENT_PASSWORD is "
            + ("the default" if password == DEFAULT_CLIENT_PASSWORD else f"shorter than {MIN_PASSWORD} characters"),
            field="WARREN_CLIENT_PASSWORD",
            hint="set a password of your own in .env (openssl rand -hex 16), or leave WARREN_BIND at 127.0.0.1",
        )


def set_up(environ: Mapping[str, str], *, secrets_folder: Path, definitions_file: Path) -> None:
    """Writes both. Raises `ConfigurationError` (see `refuse_open_default`)."""
    refuse_open_default(environ)
    secrets_folder.chmod(0o755)
    hashes = {CLIENT: password_hash(CLIENT, environ.get("WARREN_CLIENT_PASSWORD") or DEFAULT_CLIENT_PASSWORD)}
    for service in SERVICES:
        hashes[service] = password_hash(service, _password(service, environ, secrets_folder))
    definitions_file.write_text(render(definitions(hashes)))
    definitions_file.chmod(0o644)  # hashes only, and the broker's uid differs between its images


def _password(service: str, environ: Mapping[str, str], folder: Path) -> str:
    file = folder / service
    kept = file.read_text().strip() if file.exists() else ""
    password = environ.get(f"WARREN_{service.upper()}_PASSWORD") or kept or secrets.token_urlsafe(24)
    if password != kept:
        file.touch(mode=0o600)
        file.write_text(password)
    if os.geteuid() == 0:
        os.chown(file, UIDS[service], UIDS[service])
    file.chmod(0o400)
    return password


def main() -> int:
    """`--print` writes the committed file's text to standard output; otherwise both files are written."""
    if sys.argv[1:] == ["--print"]:
        sys.stdout.write(committed())
        return 0
    try:
        set_up(os.environ, secrets_folder=Path("/run/secrets"), definitions_file=Path("/run/broker/definitions.json"))
    except ConfigurationError as error:
        print(f"start refused: {error.reason}. {error.hint}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
