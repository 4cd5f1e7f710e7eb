"""Log files that do not grow for ever."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

LIMIT_BYTES = 10 * 1024 * 1024


def rotate(path: Path, *, limit_bytes: int, keep: int) -> None:
    """Makes room for a new file when this one is full: `.1` is the latest of `keep` old ones. Raises OSError."""
    if not path.exists() or path.stat().st_size < limit_bytes:
        return
    for number in range(keep - 1, 0, -1):
        with contextlib.suppress(FileNotFoundError):
            _old(path, number).replace(_old(path, number + 1))
    with contextlib.suppress(FileNotFoundError):  # another watchdog was faster
        path.replace(_old(path, 1))


def shorten(folder: Path, *, limit_bytes: int = LIMIT_BYTES) -> list[str]:
    """Copies each full log beside it (`.log.1`) and empties it: those who write hold it open, and append. A line
    written in between is lost. Returns the names; a file that cannot be read is left alone."""
    done = []
    for path in sorted(folder.glob("*.log")):
        with contextlib.suppress(OSError):
            if path.stat().st_size >= limit_bytes:
                shutil.copyfile(path, _old(path, 1))
                os.truncate(path, 0)
                done.append(path.name)
    return done


def _old(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")
