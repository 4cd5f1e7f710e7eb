"""What the kernel, or `ps`, says of a child that is silent."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from services.watchdog.closer_look import ContainerLook, ProcessLook
from services.watchdog.liveness import Beat, Signs

PID, OTHER = 41, 42


class Kernel:
    """A /proc with one process of two threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for thread in (PID, OTHER):
            (folder / str(PID) / "task" / str(thread)).mkdir(parents=True)
        self.state("S")
        self.waited(loop=100.0, other=50.0)

    def state(self, letter: str) -> None:
        (self.folder / str(PID) / "stat").write_text(f"{PID} (python (x)) {letter} 1 2 3")

    def waited(self, *, loop: float, other: float) -> None:
        for thread, seconds in ((PID, loop), (OTHER, other)):
            path = self.folder / str(PID) / "task" / str(thread) / "schedstat"
            path.write_text(f"123 {int(seconds * 1e9)} 7\n")


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


async def look(kernel: Kernel) -> Signs:
    """One that has seen the beat at 10.0, and looks again when the loop has waited 1.5 s more, the other 0.2."""
    watching = ProcessLook({"a": PID, "gone": None}.get, kernel.folder)
    watching.sample(["a", "gone"], {"a": Beat(10.0, ready=True)}, 10.1)
    watching.sample(["a", "gone"], {"a": Beat(10.0, ready=True)}, 11.0)
    kernel.waited(loop=101.5, other=50.2)
    found = await watching.at(["a", "gone"])
    assert list(found) == ["a"]
    return found["a"]


async def test_time_in_the_run_queue_since_the_last_beat_is_starvation(kernel: Kernel):
    kernel.state("R")
    found = await look(kernel)
    assert found.starved_s == pytest.approx(1.5)
    assert found.what.startswith("computing")
    assert not found.busy


async def test_a_stopped_process_has_no_excuse(kernel: Kernel):
    kernel.state("T")
    assert await look(kernel) == Signs(what="stopped")


async def test_a_thread_that_holds_the_loop_up_may_be_the_one_that_starves(kernel: Kernel):
    watching = ProcessLook(lambda child: PID, kernel.folder)
    watching.sample(["a"], {"a": Beat(10.0, ready=True)}, 10.1)
    watching.sample(["a"], {"a": Beat(10.0, ready=True)}, 11.0)
    kernel.waited(loop=100.0, other=52.0)
    assert (await watching.at(["a"]))["a"].starved_s == pytest.approx(2.0)


async def test_a_new_beat_begins_a_new_account(kernel: Kernel):
    watching = ProcessLook(lambda child: PID, kernel.folder)
    watching.sample(["a"], {"a": Beat(10.0, ready=True)}, 10.1)
    kernel.waited(loop=101.5, other=50.0)
    watching.sample(["a"], {"a": Beat(11.0, ready=True)}, 11.1)
    assert (await watching.at(["a"]))["a"].starved_s == pytest.approx(0.0)


async def test_a_process_that_waits_for_a_disk_is_given_longer(kernel: Kernel):
    kernel.state("D")
    assert (await look(kernel)).busy


async def test_a_kernel_that_does_not_count_is_no_error(kernel: Kernel):
    for path in kernel.folder.glob("*/task/*/schedstat"):
        path.unlink()
    watching = ProcessLook(lambda child: PID, kernel.folder)
    watching.sample(["a"], {}, 10.0)
    assert (await watching.at(["a"]))["a"].starved_s == 0.0


@pytest.mark.parametrize(
    ("states", "busy", "what"),
    [
        (["Ss", "T"], False, "stopped"),
        (["Ss", "R"], True, "computing, or without a processor"),
        (["Ss", "Sl"], False, "its loop is blocked"),
        ([], False, ""),
    ],
)
async def test_in_a_container_the_letters_of_ps_tell(states: Sequence[str], busy: bool, what: str):
    async def letters(child: str) -> Sequence[str]:
        return states

    assert await ContainerLook(letters).at(["a"]) == {"a": Signs(busy=busy, what=what)}


async def test_a_container_that_nothing_can_be_asked_of_is_given_longer():
    async def letters(child: str) -> Sequence[str]:
        raise OSError("no proxy")

    assert (await ContainerLook(letters).at(["a"]))["a"].busy
