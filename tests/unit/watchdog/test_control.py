"""OTP's control calls and their exact errors."""

from __future__ import annotations

import pytest

from services.watchdog.control import Control, ControlError, Count
from services.watchdog.tree import Group, OnExhausted, Restart, Strategy
from tests.unit.watchdog.fake_engine import FakeEngine, child, mesh


def refused(call) -> str:
    with pytest.raises(ControlError) as caught:
        call()
    return caught.value.error


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(mesh()).boot()


@pytest.fixture
def control(engine: FakeEngine) -> Control:
    return Control(engine.supervisor)


def test_start_child_adds_one_last_in_start_order(engine: FakeEngine, control: Control):
    assert engine.order(control.start_child("mesh", child("printer"), engine.now)) == ["start printer"]
    assert engine.children()[-1] == "printer"
    engine.crash("printer")
    assert engine.calls[-1] == "start printer", "supervised like the others"


def test_start_child_refuses_an_id_that_runs_and_one_that_is_only_specified(engine: FakeEngine, control: Control):
    def again() -> None:
        control.start_child("mesh", child("writer"), engine.now)

    assert refused(again) == "already_started"
    engine.order(control.terminate_child("mesh", "writer", engine.now))
    assert refused(again) == "already_present"


def test_terminate_child_stops_it_uncounted_and_keeps_its_specification(engine: FakeEngine, control: Control):
    assert engine.order(control.terminate_child("mesh", "writer", engine.now)) == ["stop writer"]
    assert engine.order(control.terminate_child("mesh", "writer", engine.now)) == [], "twice is harmless"
    assert [(c.id, c.condition) for c in control.which_children("mesh")] == [
        ("planner", "running"), ("researcher", "running"), ("writer", "undefined"), ("memory", "running"),
    ]  # fmt: skip
    assert engine.supervisor.root.intensity.left(engine.now) == 3
    assert refused(lambda: control.terminate_child("mesh", "printer", engine.now)) == "not_found"


def test_a_terminated_child_is_started_again_by_its_siblings_restart():
    engine = FakeEngine(mesh(Strategy.ONE_FOR_ALL)).boot()
    engine.order(Control(engine.supervisor).terminate_child("mesh", "writer", engine.now))
    engine.crash("planner")
    assert engine.running == {"planner", "researcher", "writer", "memory"}


def test_terminate_child_drops_a_temporary_one():
    engine = FakeEngine(Group("g", (child("a"), child("job", Restart.TEMPORARY)))).boot()
    engine.order(Control(engine.supervisor).terminate_child("g", "job", engine.now))
    assert engine.children() == ["a"]


def test_restart_child_starts_what_is_down_and_refuses_the_rest(engine: FakeEngine, control: Control):
    def again() -> list[str]:
        return engine.order(control.restart_child("mesh", "writer", engine.now))

    assert refused(again) == "running"
    engine.order(control.terminate_child("mesh", "writer", engine.now))
    assert again() == ["start writer"]
    assert refused(lambda: control.restart_child("mesh", "printer", engine.now)) == "not_found"
    engine.slow.add("writer")
    engine.crash("writer")
    assert refused(again) == "restarting"
    engine.ready("writer")
    assert refused(again) == "running"


def test_restart_child_starts_a_transient_child_that_had_ended():
    engine = FakeEngine(Group("g", (child("job", Restart.TRANSIENT),))).boot()
    engine.crash("job", code=0)
    assert engine.order(Control(engine.supervisor).restart_child("g", "job", engine.now)) == ["start job"]


def test_delete_child_drops_only_what_is_down(engine: FakeEngine, control: Control):
    def delete() -> list[str]:
        return engine.order(control.delete_child("mesh", "writer", engine.now))

    assert refused(delete) == "running"
    engine.slow.add("writer")
    engine.crash("writer")
    assert refused(delete) == "restarting"
    engine.ready("writer")
    engine.order(control.terminate_child("mesh", "writer", engine.now))
    assert delete() == []
    assert engine.children() == ["planner", "researcher", "memory"]
    assert refused(delete) == "not_found"


def test_a_sibling_that_waits_for_its_turn_is_restarting_and_can_be_terminated_meanwhile():
    engine = FakeEngine(mesh(Strategy.REST_FOR_ONE)).boot()
    control = Control(engine.supervisor)
    engine.slow.add("researcher")
    engine.crash("researcher")
    conditions = {c.id: c.condition for c in control.which_children("mesh")}
    assert conditions == {
        "planner": "running", "researcher": "restarting", "writer": "restarting", "memory": "restarting",
    }  # fmt: skip
    engine.order(control.terminate_child("mesh", "writer", engine.now))
    engine.ready("researcher")
    assert engine.running == {"planner", "researcher", "memory"}


def test_count_children_tells_supervisors_from_workers():
    inner = Group("inner", (child("a"), child("b")))
    engine = FakeEngine(Group("root", (inner, child("c"), child("d")))).boot()
    control = Control(engine.supervisor)
    engine.order(control.terminate_child("root", "d", engine.now))
    assert control.count_children("root") == Count(specs=4 - 1, active=2, supervisors=1, workers=2)
    assert control.count_children("inner") == Count(specs=2, active=2, supervisors=0, workers=2)


def test_a_nested_group_is_a_child_like_any_other():
    inner = Group("inner", (child("a"), child("b")))
    engine = FakeEngine(Group("root", (inner, child("c")))).boot()
    control = Control(engine.supervisor)
    assert refused(lambda: control.restart_child("root", "inner", engine.now)) == "running"
    assert engine.order(control.terminate_child("root", "inner", engine.now)) == ["stop b", "stop a"]
    assert refused(lambda: control.restart_child("inner", "a", engine.now)) == "noproc"
    assert engine.order(control.restart_child("root", "inner", engine.now)) == ["start a", "start b"]


def test_a_supervisor_that_does_not_run_takes_no_calls():
    group = Group("g", (child("a"),), max_restarts=0, on_exhausted=OnExhausted.QUARANTINE)
    engine = FakeEngine(Group("root", (group,))).boot()
    engine.crash("a")
    control = Control(engine.supervisor)
    assert refused(lambda: control.restart_child("g", "a", engine.now)) == "noproc"
    assert refused(lambda: control.which_children("h")) == "noproc"
