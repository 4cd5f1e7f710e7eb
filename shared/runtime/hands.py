"""What a process has in hand: written where it outlives the process, and watched for handlers that do not end.

A file in memory that belongs to the kernel (mmap) keeps what was written to it whatever kills the process, and costs a
microsecond a message. Whoever finds a dead process reads there which messages it held.
"""

import json
import mmap
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SLOTS, SLOT_BYTES = 128, 512
"""More than any prefetch; a line of JSON for each message, padded with blanks."""
AWAKE_S = 1.0
"""The most that one look can add to the clock of the living: two beats. A machine that stood still has not worked."""


@dataclass
class _Held:
    what: str
    queue: str
    since: float
    limit_s: float
    slot: int | None


@dataclass
class Hands:
    """`look` at each beat. Its clock runs only while the process works and the broker is there: a handler that waits
    for a broker, or was frozen with its machine, has not stalled."""

    clock: Callable[[], float] = time.monotonic
    _held: dict[int, _Held] = field(default_factory=dict)
    _free: list[int] = field(default_factory=lambda: list(range(SLOTS)))
    _file: mmap.mmap | None = None
    _next: int = 0
    _awake: float = 0.0
    _looked_at: float | None = None

    def keep_in(self, path: Path) -> None:
        """From now on what is held stands in this file. What a predecessor left there is gone."""
        path.unlink(missing_ok=True)
        with path.open("w+b") as file:
            file.truncate(SLOTS * SLOT_BYTES)
            self._file = mmap.mmap(file.fileno(), SLOTS * SLOT_BYTES)

    def take(self, message_id: str, what: str, *, queue: str, limit_s: float) -> int:
        """A message is begun; the number to `put_down`."""
        self._next += 1
        slot = self._free.pop() if self._free else None
        self._held[self._next] = _Held(what, queue, self._awake, limit_s, slot)
        if slot is not None:
            line = json.dumps({"message_id": message_id, "type": what, "queue": queue})
            self._write(slot, line.encode("ascii"))
        return self._next

    def put_down(self, number: int) -> None:
        """It is settled, or given back."""
        held = self._held.pop(number, None)
        if held and held.slot is not None:
            self._write(held.slot, b"")
            self._free.append(held.slot)

    def look(self, *, connected: bool) -> str:
        """Which handler is over its limit, in words; "" if none is."""
        now = self.clock()
        if self._looked_at is not None and connected:
            self._awake += min(now - self._looked_at, AWAKE_S)
        self._looked_at = now
        for held in self._held.values():
            took = self._awake - held.since
            if took > held.limit_s:
                return f"{held.what or 'a message'} of {held.queue} for {took:.0f} s, at most {held.limit_s:g} s"
        return ""

    def __len__(self) -> int:
        return len(self._held)

    def _write(self, slot: int, line: bytes) -> None:
        if self._file is not None:
            begin = slot * SLOT_BYTES
            short = line if len(line) < SLOT_BYTES else b""  # half a line would be no JSON
            self._file[begin : begin + SLOT_BYTES] = short.ljust(SLOT_BYTES - 1) + b"\n"


def hands_file(beat_file: Path) -> Path:
    """It lies beside the beat."""
    return beat_file.with_name(f"{beat_file.name}.hands")


def read_hands(path: Path) -> list[dict[str, Any]]:
    """What a process held when it died: `message_id`, `type`, `queue` of each message. Empty if nothing is known."""
    try:
        lines = path.read_bytes().replace(b"\0", b"").split(b"\n")
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict) and value.get("message_id"):
            found.append(value)
    return found
