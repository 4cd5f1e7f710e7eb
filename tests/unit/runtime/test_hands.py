"""What a process holds is known after its death, and a handler that does not end is found."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from shared.runtime.hands import SLOTS, Hands, hands_file, read_hands

DIES = """
import os, signal, sys
from pathlib import Path
from shared.runtime.hands import Hands
hands = Hands()
hands.keep_in(Path(sys.argv[1]))
hands.put_down(hands.take("done", "search.v1", queue="memory.v1", limit_s=1))
hands.take("killer", "run_step.v1", queue="researcher.v1", limit_s=1)
hands.take("innocent", "run_step.v1", queue="researcher.v1", limit_s=1)
os.kill(os.getpid(), signal.SIGKILL)
"""


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_what_it_held_is_read_after_a_sigkill(tmp_path: Path):
    path = hands_file(tmp_path / "researcher-1.beat")
    ended = subprocess.run([sys.executable, "-c", DIES, str(path)], check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert {held["message_id"] for held in read_hands(path)} == {"killer", "innocent"}
    assert read_hands(path)[0]["queue"] == "researcher.v1"


def test_a_successor_starts_with_empty_hands(tmp_path: Path):
    path = tmp_path / "hands"
    first, second = Hands(), Hands()
    first.keep_in(path)
    first.take("1", "search.v1", queue="memory.v1", limit_s=1)
    second.keep_in(path)
    assert read_hands(path) == []


def test_more_than_there_is_room_for_is_counted_all_the_same(tmp_path: Path):
    hands = Hands()
    hands.keep_in(tmp_path / "hands")
    numbers = [hands.take(f"{n}", "search.v1", queue="memory.v1", limit_s=1) for n in range(SLOTS + 5)]
    assert (len(hands), len(read_hands(tmp_path / "hands"))) == (SLOTS + 5, SLOTS)
    for number in numbers:
        hands.put_down(number)
    assert (len(hands), read_hands(tmp_path / "hands")) == (0, [])


def test_an_id_that_does_not_fit_is_left_out(tmp_path: Path):
    hands = Hands()
    hands.keep_in(tmp_path / "hands")
    hands.take("x" * 600, "search.v1", queue="memory.v1", limit_s=1)
    assert read_hands(tmp_path / "hands") == []


def test_nothing_is_known_of_a_file_that_is_not_there_or_of_another_kind(tmp_path: Path):
    (tmp_path / "odd").write_bytes(os.urandom(2000))
    assert read_hands(tmp_path / "none") == read_hands(tmp_path / "odd") == []


def beats(hands: Hands, clock: Clock, seconds: float, *, connected: bool = True, every_s: float = 0.5) -> str:
    end, said = clock.now + seconds, ""
    while clock.now < end:
        clock.now += every_s
        said = hands.look(connected=connected)
    return said


def test_a_handler_over_its_limit_is_named():
    clock = Clock()
    hands = Hands(clock)
    beats(hands, clock, 1)
    number = hands.take("1", "search.v1", queue="memory.v1", limit_s=30)
    hands.take("2", "run_step.v1", queue="researcher.v1", limit_s=7200)
    assert beats(hands, clock, 29) == ""
    assert beats(hands, clock, 2) == "search.v1 of memory.v1 for 31 s, at most 30 s"
    hands.put_down(number)
    assert beats(hands, clock, 600) == ""


def test_a_frozen_machine_and_an_absent_broker_are_not_the_handlers_doing():
    clock = Clock()
    hands = Hands(clock)
    beats(hands, clock, 1)
    hands.take("1", "search.v1", queue="memory.v1", limit_s=30)
    assert beats(hands, clock, 600, connected=False) == ""
    clock.now += 3600
    assert beats(hands, clock, 25) == ""
    assert beats(hands, clock, 8) != ""
