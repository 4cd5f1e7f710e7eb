"""The live tree: from events to lines."""

from datetime import UTC, datetime, timedelta

from services.cli.trace import HEADINGS, rows
from services.cli.tree import GoalTree, label, line_for
from shared.contracts.goals import GoalEvent, StepProgress

T0 = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
STEPS = [{"id": "s1", "question": "What is X?"}, {"id": "s2", "question": "What is Y?"}]


def event(seq: int, name: str, *, step: str | None = None, worker: str | None = None, **data: object) -> GoalEvent:
    return GoalEvent.model_validate(
        {
            "goal_id": "g", "seq": seq, "event": name, "at": T0 + timedelta(seconds=seq), "step": step,
            "worker": worker, "data": data,
        }
    )  # fmt: skip


STORY = [
    event(1, "goal_accepted", goal="X and Y?"),
    event(2, "engine_chosen", engine="extractive", reason="no model: refused"),
    event(3, "plan_made", steps=STEPS),
    event(4, "step_dispatched", step="s1", attempt=1),
    event(5, "step_claimed", step="s1", worker="researcher-1", waited_s=0.25),
    event(6, "step_redelivered", step="s1", worker="researcher-2", attempt=2),
    event(7, "step_finished", step="s1", worker="researcher-2", findings=3, seconds=1.2, tokens_in=120, tokens_out=43,
          model_s=0.5),
    event(8, "goal_completed"),
]  # fmt: skip


def tree_after(count: int) -> GoalTree:
    tree = GoalTree("X and Y?", "g")
    for told in STORY[:count]:
        tree.apply(told)
    return tree


def test_the_tree_follows_the_goal() -> None:
    tree = tree_after(5)
    now = T0 + timedelta(seconds=7)
    assert tree.head(now) == "researching, 0/2 steps, 6.0 s"
    assert tree.lines(now) == ["● step 1  What is X?  researcher-1: working, 2.0 s", "· step 2  What is Y?"]
    assert tree.engine == "extractive - no model: refused"


def test_a_sign_of_life_shows_on_its_step() -> None:
    tree = tree_after(4)
    tree.progress(StepProgress(goal_id="g", step="s1", worker="researcher-1", text="143 tokens, 11/s"))
    assert "step 1: 143 tokens, 11/s" in tree.sign_of_life(T0 + timedelta(seconds=9))


def test_a_late_sign_of_life_does_not_wake_a_finished_step() -> None:
    tree = tree_after(7)
    tree.progress(StepProgress(goal_id="g", step="s1", worker="researcher-1", text="searching"))
    assert tree.lines(T0)[0] == "✓ step 1  What is X?  3 findings, 1.2 s  (redelivered)"


def test_the_end_is_shown() -> None:
    assert tree_after(8).status == "done"


def test_a_failed_goal_has_a_reason() -> None:
    tree = tree_after(3)
    tree.apply(event(4, "goal_failed", reason="every step failed"))
    assert (tree.status, tree.reason) == ("failed", "every step failed")


def test_plain_lines_tell_the_same() -> None:
    lines = [line_for(told) for told in STORY]
    assert lines[1] == "engine: extractive - no model: refused"
    assert lines[2] == "plan: 2 steps\n  step 1: What is X?\n  step 2: What is Y?"
    assert lines[5] == "step 1 redelivered by researcher-2"
    assert lines[6] == "step 1 done by researcher-2: 3 findings, 1.2 s"
    assert lines[7] == "report complete"


def test_events_that_a_newer_planner_invents_are_shown_by_name() -> None:
    assert line_for(event(1, "coffee_break", step="s2", reason="tired")) == "step 2 coffee break: tired"


def test_malformed_data_never_breaks_the_view() -> None:
    tree = GoalTree("?", "g")
    tree.apply(event(1, "plan_made", steps="many"))
    tree.apply(event(2, "engine_chosen"))
    assert tree.lines(T0) == []


def test_labels_are_for_people() -> None:
    assert [label(name) for name in ("s3", "3", "intro", "write")] == ["step 3", "step 3", "step intro", "report"]


def test_the_trace_has_a_line_per_event_with_its_figures() -> None:
    table = [dict(zip(HEADINGS, row, strict=True)) for row in rows(STORY)]
    assert len(table) == len(STORY)
    assert table[4]["waited"] == "250 ms"
    assert (table[5]["attempt"], table[5]["worker"]) == (2, "researcher-2")
    assert (table[6]["model"], table[6]["tokens"]) == ("500 ms", "120+43")
    assert table[6]["at"] == "+6.000"


def test_a_goal_that_is_begun_again_waits_again_where_it_is_done_again() -> None:
    tree = tree_after(7)
    tree.apply(event(8, "goal_failed", reason="the engine was missing"))
    again = event(9, "goal_retried", run=2, again=["s2", "write"], kept=1, **{"from": "s2"})
    tree.apply(again)
    assert (tree.status, tree.reason) == ("accepted", None)
    assert tree.lines(T0)[0].startswith("✓ step 1")
    assert tree.lines(T0)[1:] == ["· step 2  What is Y?", "· report"]
    assert line_for(again) == "run 2 begins with step 2"
