"""The demo's killer says only what it saw."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from services.cli.demo import Killer
from shared.contracts.goals import GoalEvent, StepProgress


@dataclass
class Notes:
    """A view that remembers its notes."""

    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.notes.append(text)


def works(step: str, worker: str = "researcher-1") -> StepProgress:
    return StepProgress(goal_id="g", step=step, worker=worker, text="searching")


def event(name: str, step: str) -> GoalEvent:
    return GoalEvent(goal_id="g", seq=1, event=name, at=datetime(2026, 1, 1, tzinfo=UTC), step=step)


def told(killer: Killer, *items: GoalEvent | StepProgress) -> tuple[str, list[str]]:
    view = Notes()
    for item in items:
        killer.see(item, view)  # type: ignore[arg-type]
    return killer.told(done=True), view.notes


def killing(victims: list[str]) -> Killer:
    return Killer(lambda worker: victims.append(worker) or "pid 7")  # type: ignore[func-returns-value]


def test_one_kill_that_lands_is_enough() -> None:
    victims: list[str] = []
    text, notes = told(
        killing(victims), works("s3"), works("s4"), event("step_redelivered", "s3"), works("s5"),
        event("step_finished", "s3"),
    )  # fmt: skip
    assert victims == ["researcher-1"]
    assert notes == ["researcher-1 killed by this demo (SIGKILL, pid 7) while it works on step 3"]
    assert text == "researcher killed by this demo (SIGKILL) - step 3 redelivered - report complete"


def test_a_kill_that_came_too_late_is_tried_again_with_the_next_step() -> None:
    victims: list[str] = []
    text, _ = told(
        killing(victims), works("s1"), event("step_finished", "s1"), works("s2"), event("step_redelivered", "s2")
    )
    assert len(victims) == 2
    assert text == "researcher killed by this demo (SIGKILL) 2 times - step 2 redelivered - report complete"


def test_the_writer_is_left_alone() -> None:
    victims: list[str] = []
    text, _ = told(killing(victims), works("write", "writer-1"))
    assert victims == []
    assert text == "no researcher could be killed by this demo - report complete"


def test_a_kill_that_hit_nothing_is_told_as_such() -> None:
    text, _ = told(killing([]), works("s1"), event("step_finished", "s1"))
    assert "nothing was redelivered" in text


def test_a_worker_that_is_not_here_is_not_killed() -> None:
    text, notes = told(Killer(lambda _: None), works("s1"))
    assert notes == []
    assert text.startswith("no researcher could be killed")
