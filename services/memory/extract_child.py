"""The parsing child: `python -m services.memory.extract_child MEMORY_MB CPU_S`.

Reads files from stdin and answers on stdout, one at a time; each frame is a length (8 bytes) and that many bytes.
A request is two: JSON (kind, name, sha256) and the file's bytes; the answer is JSON. It can open no file for
writing, gets no more memory than allowed and no more CPU seconds per file; the parent watches the clock.
"""

import ctypes
import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable
from hashlib import sha256
from typing import Any, BinaryIO

from services.memory.extract import Unreadable, extract
from services.memory.passages import cut

PR_SET_PDEATHSIG = 1
OUT_OF_MEMORY = "parser ran out of memory"


def main() -> None:
    """Answer until stdin ends."""
    memory_mb, cpu_s = int(sys.argv[1]), int(sys.argv[2])
    _die_with_parent()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not stand between our frames
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while (head := _receive(sys.stdin.buffer)) is not None:
        _allow_cpu(cpu_s)
        try:
            answer = _answer(json.loads(head), _receive(sys.stdin.buffer) or b"")
            _send(answers, json.dumps(answer, ensure_ascii=False).encode())
        except MemoryError:
            _send(answers, json.dumps({"reason": OUT_OF_MEMORY}).encode())
            return  # a fresh child for the next file


def _die_with_parent() -> None:
    """A parent that was killed cannot kill us, and a file may keep us busy for a minute more."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _answer(request: dict[str, Any], data: bytes) -> dict[str, Any]:
    try:
        if sha256(data).hexdigest() != request["sha256"]:
            return {"reason": "arrived damaged: send it again", "damaged": True}
        return _parsed(data, kind=request["kind"], name=request["name"])
    except Unreadable as error:
        return {"reason": str(error)}
    except MemoryError:
        raise
    except RecursionError:
        return {"reason": "nested too deep to parse"}
    except Exception as error:  # parsers raise anything at strangers' files: it is this file's fate
        return {"reason": f"cannot be parsed: {type(error).__name__}: {str(error)[:200]}"}


def _parsed(data: bytes, *, kind: str, name: str) -> dict[str, Any]:
    document = extract(data, kind=kind, name=name)
    return {
        "sha256": document.sha256,
        "title": document.title,
        "text": document.text,
        "headings": [[mark.start, mark.end, mark.title] for mark in document.headings],
        "pages": [[mark.start, mark.number] for mark in document.pages],
        "cuts": [[piece.start, piece.end, piece.page, piece.heading] for piece in cut(document)],
    }


def _allow_cpu(seconds: int) -> None:
    """SIGXCPU ends the child this many CPU seconds from now."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + seconds + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def _receive(stream: BinaryIO) -> bytes | None:
    head = _exactly(stream.read, 8)
    return None if head is None else _exactly(stream.read, int.from_bytes(head, "big"))


def _exactly(read: Callable[[int], bytes], size: int) -> bytes | None:
    data = read(size)
    return data if len(data) == size else None


def _send(stream: BinaryIO, data: bytes) -> None:
    stream.write(len(data).to_bytes(8, "big") + data)
    stream.flush()


if __name__ == "__main__":
    main()
