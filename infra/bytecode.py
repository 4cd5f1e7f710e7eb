"""Writes the bytecode of everything a service imports: without it a service takes three times as long to start.

Part of infra/setup. Only what is imported is compiled, and pip compiles nothing: all of the environment would be a
quarter larger.
"""

import compileall
import importlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LATE = (  # what is loaded at first use
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "aiosqlite",
    "anyio._core._sockets",
    "anyio._core._streams",
    "anyio.streams.tls",
    "asyncpg",
    "ollama",
    "rich.markdown",
    "anyio._backends._asyncio",
)


def main() -> None:
    """Harmless when repeated. A module that this machine lacks is left out."""
    sys.dont_write_bytecode = False  # whatever the environment says: it is what this is for
    sys.path.insert(0, str(ROOT))
    for folder in ("services", "shared"):
        compileall.compile_dir(ROOT / folder, quiet=2)
    for app in sorted((ROOT / "services").glob("*/app.py")):
        _load(f"services.{app.parent.name}.app")
    for name in LATE:
        _load(name)


def _load(name: str) -> None:
    try:
        importlib.import_module(name)
    except ImportError as error:
        sys.stderr.write(f"not compiled: {name}: {error}\n")


if __name__ == "__main__":
    main()
