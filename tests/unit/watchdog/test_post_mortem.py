"""What a dead child leaves behind."""

import json
from pathlib import Path

import pytest

from services.watchdog.post_mortem import LINES, PostMortem
from shared.runtime.hands import Hands
from tests.unit.watchdog.memory_engine import MemoryEngine


def left_behind(home: Path) -> None:
    (home / "run").mkdir()
    (home / "logs").mkdir()
    (home / "run" / "memory-1.beat").write_text(json.dumps({"pid": 1, "at": 1.0, "ready": True, "memory_mb": 77}))
    hands = Hands()
    hands.keep_in(home / "run" / "memory-1.beat.hands")
    hands.take("id-1", "search.v1", queue="memory.v1", limit_s=1)
    (home / "logs" / "memory-1.log").write_text("".join(f"line {n}\n" for n in range(100)))


def test_messages_memory_and_last_lines_are_found(tmp_path: Path):
    left_behind(tmp_path)
    found = PostMortem(MemoryEngine(), tmp_path).look("memory-1", "exit code 3")
    assert [(held.message_id, held.type, held.queue) for held in found.held] == [("id-1", "search.v1", "memory.v1")]
    assert (found.exit_code, found.signal, found.memory_mb, found.out_of_memory) == (3, None, 77, False)
    assert (len(found.last_lines), found.last_lines[-1]) == (LINES, "line 99")


def test_nothing_left_behind_is_nothing_known(tmp_path: Path):
    found = PostMortem(MemoryEngine(), tmp_path).look("memory-1", "hung: silent for 2.6 s, stopped")
    assert (found.held, found.exit_code, found.signal, found.memory_mb, found.last_lines) == ((), None, None, None, ())


@pytest.mark.parametrize(
    ("reason", "code", "name"),
    [
        ("exit code 1", 1, None),
        ("killed by SIGSEGV", None, "SIGSEGV"),
        ("exit code 139", 139, "SIGSEGV"),
        ("out of memory", None, "SIGKILL"),
        ("ended (adopted: exit code unknown)", None, None),
    ],
)
def test_how_it_ended_follows_from_the_reason(tmp_path: Path, reason: str, code: int | None, name: str | None):
    found = PostMortem(MemoryEngine(), tmp_path).look("memory-1", reason)
    assert (found.exit_code, found.signal, found.out_of_memory) == (code, name, reason == "out of memory")


def test_a_sigkill_while_the_kernel_ran_out_of_memory_is_told_from_one_by_hand(tmp_path: Path):
    vmstat = tmp_path / "vmstat"
    vmstat.write_text("pgfault 1\noom_kill 4\n")
    post_mortem = PostMortem(MemoryEngine(), tmp_path, vmstat=vmstat)
    post_mortem.note_memory()
    assert not post_mortem.look("memory-1", "killed by SIGKILL").out_of_memory
    vmstat.write_text("pgfault 1\noom_kill 5\n")
    assert post_mortem.look("memory-1", "killed by SIGKILL").out_of_memory
    assert not post_mortem.look("memory-1", "exit code 1").out_of_memory
