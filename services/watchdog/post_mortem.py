"""What a dead child leaves behind: the messages it held, how it ended, how much memory it had used, its last words."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from services.watchdog.beat_file import read_shared_beat
from services.watchdog.engine import Engine
from shared.contracts.supervision import HeldMessage
from shared.runtime.hands import hands_file, read_hands

LINES, LINE_CHARACTERS, TAIL_BYTES = 20, 500, 16 * 1024
LINES_TIMEOUT_S = 2.0
RECENT_S = 5.0
VMSTAT = Path("/proc/vmstat")
_CODE, _SIGNAL = re.compile(r"exit code (\d+)"), re.compile(r"killed by (SIG\w+)")


@dataclass(frozen=True)
class Remains:
    """Fields as in `ChildDied`."""

    held: tuple[HeldMessage, ...] = ()
    exit_code: int | None = None
    signal: str | None = None
    out_of_memory: bool = False
    memory_mb: int | None = None
    last_lines: tuple[str, ...] = ()


@dataclass
class PostMortem:
    """`look` at once, before a successor begins with empty hands. `beats`: the shared folder of containers."""

    engine: Engine
    home: Path
    beats: Path | None = None
    vmstat: Path = VMSTAT
    _ooms: deque[tuple[float, int]] = field(default_factory=deque)

    def look(self, child_id: str, reason: str) -> Remains:
        """Reads what is left of a child. Takes well under a millisecond; never raises."""
        container = self.engine.whereabouts(child_id).container
        beat = self.beats / container if self.beats and container else self.home / "run" / f"{child_id}.beat"
        last = read_shared_beat(beat)
        code, name = _ending(reason)
        held = tuple(_held(read_hands(hands_file(beat))))
        lines = () if container else _tail(self.home / "logs" / f"{child_id}.log")
        oom = reason == "out of memory" or (name == "SIGKILL" and not container and self._machine_ran_out())
        return Remains(held, code, name, oom, last.memory_mb if last else None, lines)

    async def last_lines(self, child_id: str, *, until: float) -> tuple[str, ...]:
        """What a container had said until then; nothing when it cannot be had in time."""
        ask = getattr(self.engine, "last_lines", None)
        if ask is None:
            return ()
        try:
            return _short(await asyncio.wait_for(ask(child_id, until=until), LINES_TIMEOUT_S))
        except (OSError, TimeoutError):
            return ()

    def note_memory(self) -> None:
        """Notes how often the kernel has killed for want of memory so far. Call it about once a second."""
        now = time.monotonic()
        self._ooms.append((now, _oom_kills(self.vmstat)))
        while len(self._ooms) > 1 and self._ooms[1][0] < now - RECENT_S:
            self._ooms.popleft()

    def _machine_ran_out(self) -> bool:
        return bool(self._ooms) and _oom_kills(self.vmstat) > self._ooms[0][1]


def _ending(reason: str) -> tuple[int | None, str | None]:
    """Exit code and signal as an engine's reason says them; in a container 128 + n stands for signal n."""
    if found := _SIGNAL.fullmatch(reason):
        return None, found[1]
    if reason == "out of memory":
        return None, "SIGKILL"
    if found := _CODE.fullmatch(reason):
        code = int(found[1])
        known = {128 + number.value: number.name for number in signal.Signals}
        return code, known.get(code)
    return None, None


def _held(found: list[dict[str, object]]) -> Iterator[HeldMessage]:
    for one in found:
        yield HeldMessage(
            message_id=str(one["message_id"]), type=str(one.get("type") or ""), queue=str(one.get("queue") or "")
        )


def _tail(path: Path) -> tuple[str, ...]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            return _short(file.read().decode(errors="replace").splitlines())
    except OSError:
        return ()


def _short(lines: list[str]) -> tuple[str, ...]:
    return tuple(line[:LINE_CHARACTERS] for line in lines[-LINES:])


def _oom_kills(vmstat: Path) -> int:
    try:
        return next(int(line.split()[1]) for line in vmstat.read_text().splitlines() if line.startswith("oom_kill "))
    except (OSError, ValueError, StopIteration):
        return 0
