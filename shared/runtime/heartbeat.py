"""The local heartbeat: liveness never depends on the broker.

The loop that runs the handlers rewrites a small file every half second. Its age says whether the process is live; its
content says whether it is ready (connected), why not, and how late the loop ran.
"""

import asyncio
import json
import os
import resource
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger()
BEAT_S = 0.5
"""Seconds between beats: four of them fit into the two seconds of silence that a watchdog tolerates."""


def beat_path(path: Path | None) -> Path | None:
    """Where this process beats: the file, or in a folder that containers share, the one of this host's name."""
    return path / socket.gethostname() if path is not None and path.is_dir() else path


async def beat(path: Path | None, status: Callable[[], dict[str, Any]]) -> None:
    """Beats until cancelled. `status` adds `ready`, `reason`, ... to each beat."""
    path = beat_path(path)
    while path is not None:
        due = time.monotonic() + BEAT_S
        try:
            write_beat(path, status())
        except OSError as error:
            log.error("beat_not_written", path=str(path), reason=str(error))
        await asyncio.sleep(BEAT_S)
        late = time.monotonic() - due
        if late > BEAT_S:
            log.warning("loop_was_blocked", seconds=round(late, 2))
    await asyncio.Event().wait()


def write_beat(path: Path, status: dict[str, Any]) -> None:
    """One line of JSON, replaced as a whole, so that a reader never sees half of it."""
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # the most so far
    line = json.dumps({"pid": os.getpid(), "at": time.monotonic(), "memory_mb": memory_mb, **status})
    part = path.with_name(path.name + ".part")
    part.write_text(line)
    part.replace(path)
