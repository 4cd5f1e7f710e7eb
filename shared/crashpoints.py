"""Named places at which a test may have this process killed: exactly there, once, as SIGKILL would.

Off, and free, unless the setting WARREN_CRASH_FILE names a file. While that file holds `<service>.<point>`, the first
process of that service to come by takes the file away and dies. Users may try it on their own mesh as our tests do.
Beside them the faults that nobody can do to a process from outside, `<service>!<fault>`: `block` stops its loop and
`memory` takes memory until there is none, both once; `exit` ends every process of the service as it starts.
"""

import os
import signal
import time
from pathlib import Path
from typing import Literal, get_args

Point = Literal[
    "before_commit",  # state, inbox and outbox are written, nothing is durable
    "after_commit",  # durable, and nothing of it is published
    "before_publish",  # an outbox row in hand
    "after_confirm",  # published and confirmed, the row not yet forgotten
    "before_ack",  # all is done but the settling of the input
    "after_copy",  # a copy is in the retry, suspect or dead-letter queue, and the original is not settled
    "asked",  # a request is published, its reply not yet here
    "tick",  # time passed, nothing is decided
    "letter_received",  # a dead letter in hand
    "letter_parked",  # parked, not settled
    "step_received",  # a step in hand, nothing done
    "before_result",  # the work is done, nobody knows
    "after_result",  # the result is confirmed, the step not settled
    "call_claimed",  # a model call is ours, and has not begun
    "call_answered",  # the model has answered, nothing is in the ledger
    "call_kept",  # in the ledger, nobody is answered
    "documents_parsed",  # texts in memory, not stored
    "documents_saved",  # texts stored, the corpus not changed
    "corpus_changed",  # the corpus is what was offered, nobody is answered
]
POINTS: tuple[Point, ...] = get_args(Point)


class _Armed:
    """The one place that knows: process-wide, since a crash is."""

    file: Path | None = None
    service = ""


def arm(service: str, file: Path | None) -> None:
    """From now on this process may be killed at its points. `file` None: never."""
    _Armed.service, _Armed.file = service, file


def reached(point: Point) -> None:
    """Does nothing, or does not return."""
    if _Armed.file is None:
        return
    try:
        if _Armed.file.read_text().strip() != f"{_Armed.service}.{point}":
            return
        _Armed.file.unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


MEMORY_MB = 1100
"""More than any container of ours may have. Where there is no limit, it is an error that ends the process."""


def misbehave(*, starting: bool = False) -> None:
    """Called when a process starts and at each of its beats. Does nothing, or does not return."""
    if _Armed.file is None:
        return
    try:
        service, _, fault = _Armed.file.read_text().strip().partition("!")
    except FileNotFoundError:
        return
    if service != _Armed.service:
        return
    if fault == "exit" and starting:
        raise SystemExit(1)
    if fault in ("block", "memory") and not starting:
        _Armed.file.unlink(missing_ok=True)
        if fault == "block":
            time.sleep(3600)
        taken = [bytearray(os.urandom(1024) * 1024) for _ in range(MEMORY_MB)]
        os._exit(len(taken) and 1)
