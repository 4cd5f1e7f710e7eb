"""Of several watchdogs one leads; the next takes over after a second and a half of silence, and never before."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from services.watchdog.epoch import BEAT_S, SILENCE_S, Epoch


@dataclass
class Room:
    """Watchdogs that share a folder and a clock."""

    folder: Path
    now: float = 1000.0
    made: int = field(default=0)

    def watchdog(self) -> Epoch:
        self.made += 1
        return Epoch(self.folder, f"w{self.made}", clock=lambda: self.now, wall_clock=lambda: 1_800_000_000.0)


def test_the_first_leads_and_the_second_waits(tmp_path: Path):
    room = Room(tmp_path)
    first, second = room.watchdog(), room.watchdog()
    assert (first.beat(), second.beat()) == (True, False)
    assert (first.holds(), second.holds()) == (1_800_000_000, None)


def test_a_silent_leader_is_followed_after_a_second_and_a_half_and_not_before(tmp_path: Path):
    room = Room(tmp_path)
    first, second = room.watchdog(), room.watchdog()
    first.beat()
    room.now += SILENCE_S
    assert not second.beat()
    room.now += 0.1
    assert second.beat()
    assert second.holds() == 1_800_000_001


def test_a_leader_that_beats_stays(tmp_path: Path):
    room = Room(tmp_path)
    first, second = room.watchdog(), room.watchdog()
    for _ in range(20):
        assert first.beat()
        assert not second.beat()
        room.now += BEAT_S


def test_a_thawed_leader_knows_at_once_that_it_leads_no_longer(tmp_path: Path):
    room = Room(tmp_path)
    first, second = room.watchdog(), room.watchdog()
    first.beat()
    room.now += 60
    second.beat()
    assert first.number, "it has not looked yet"
    assert first.holds() is None
    assert not first.beat()
    assert second.holds()


def test_who_ends_in_order_is_followed_at_once(tmp_path: Path):
    room = Room(tmp_path)
    first, second = room.watchdog(), room.watchdog()
    first.beat()
    first.resign()
    assert second.beat()
    assert not first.beat()


def test_a_beat_from_before_the_machine_was_started_again_is_silence(tmp_path: Path):
    room = Room(tmp_path, now=90_000.0)
    room.watchdog().beat()
    room.now = 12.0
    assert room.watchdog().beat()


def test_what_the_keeper_starts_leads_at_once_and_deposes_a_stray(tmp_path: Path):
    room = Room(tmp_path)
    stray, kept = room.watchdog(), room.watchdog()
    stray.beat()
    kept.take_over()
    assert kept.holds()
    assert stray.holds() is None


def test_a_file_that_cannot_be_read_is_a_silent_leader(tmp_path: Path):
    (tmp_path / "leader.7").write_text("{")
    room = Room(tmp_path)
    one = room.watchdog()
    assert one.beat()
    assert one.holds() == 8
    assert json.loads((tmp_path / "leader.8").read_text())["holder"] == "w1"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0.0, 0.1, 0.5, 1.4, 1.6, 60.0])), max_size=60))
def test_never_do_two_hold_it(tmp_path_factory, steps: list[tuple[int, float]]):
    room = Room(tmp_path_factory.mktemp("epochs"))
    watchdogs = [room.watchdog() for _ in range(3)]
    numbers: list[int] = []
    for which, pause in steps:
        room.now += pause
        if watchdogs[which].beat():
            numbers.append(watchdogs[which].number)
        assert sum(one.holds() is not None for one in watchdogs) <= 1
    assert numbers == sorted(numbers)
