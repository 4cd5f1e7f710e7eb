"""The vectors of OTP's supervisor, on a fake engine and a fake clock."""

from dataclasses import replace

import pytest

from services.watchdog.actions import Exited, Started
from services.watchdog.tree import AutoShutdown, Boot, Group, Restart, Strategy
from tests.unit.watchdog.fake_engine import FakeEngine, child, mesh


def test_boot_starts_from_left_to_right_and_waits_for_each():
    engine = FakeEngine(mesh())
    engine.slow.add("researcher")
    engine.perform(engine.supervisor.boot(engine.now))
    assert engine.calls == ["start planner", "start researcher"]
    engine.ready("researcher")
    assert engine.calls[2:] == ["start writer", "start memory"]


def test_boot_together_starts_all_without_waiting_and_a_failed_start_is_tried_again():
    engine = FakeEngine(replace(mesh(), boot=Boot.TOGETHER))
    engine.slow.update({"planner", "researcher"})
    engine.perform(engine.supervisor.boot(engine.now))
    assert engine.calls == ["start planner", "start researcher", "start writer", "start memory"]
    engine.crash("researcher")
    assert engine.calls[4:] == ["start researcher"]


def test_tv1_one_for_one_restarts_only_the_child_that_crashed():
    engine = FakeEngine(mesh()).boot()
    engine.crash("researcher")
    assert engine.calls == ["start researcher"]


def test_tv2_rest_for_one_restarts_the_child_and_those_started_after_it():
    engine = FakeEngine(mesh(Strategy.REST_FOR_ONE)).boot()
    engine.crash("researcher")
    assert engine.calls == ["stop memory", "stop writer", "start researcher", "start writer", "start memory"]


def test_tv3_one_for_all_stops_in_reverse_and_starts_in_order():
    engine = FakeEngine(mesh(Strategy.ONE_FOR_ALL)).boot()
    engine.crash("writer")
    assert engine.calls == [
        "stop memory", "stop researcher", "stop planner",
        "start planner", "start researcher", "start writer", "start memory",
    ]  # fmt: skip


def test_tv4_the_fourth_restart_within_three_in_five_gives_up():
    engine = FakeEngine(mesh()).boot()
    for second in (0, 1, 2):
        engine.crash("researcher", at=100 + second)
    assert engine.calls == ["start researcher"] * 3
    engine.calls.clear()
    engine.crash("researcher", at=103)
    assert engine.calls == ["stop memory", "stop writer", "stop planner"]
    assert engine.supervisor.gave_up
    assert engine.kinds()[-2:] == ["shutdown", "gave_up"]


@pytest.mark.parametrize(("restarts", "period", "trips_at"), [(5, 60, 6), (3, 5, None)])
def test_tv5_a_loop_of_two_seconds_trips_five_in_sixty_but_never_three_in_five(restarts, period, trips_at):
    engine = FakeEngine(mesh(max_restarts=restarts, period_s=period)).boot()
    for number in range(1, 50):
        engine.crash("researcher", at=100 + 2 * number)
        if engine.supervisor.gave_up:
            break
    assert (number if engine.supervisor.gave_up else None) == trips_at


@pytest.mark.parametrize(("last", "trips"), [(5.99, True), (6.0, False)])
def test_tv6_the_clock_is_floored_to_whole_seconds(last, trips):
    engine = FakeEngine(mesh()).boot()
    for second in (0, 2, 4, last):
        engine.crash("researcher", at=100 + second)
    assert engine.supervisor.gave_up is trips


def test_tv7_with_no_restarts_allowed_the_first_crash_trips():
    engine = FakeEngine(mesh(max_restarts=0)).boot()
    engine.crash("researcher")
    assert engine.supervisor.gave_up
    assert not engine.running


def test_tv8_a_transient_child_is_restarted_only_after_an_abnormal_end():
    engine = FakeEngine(Group("g", (child("job", Restart.TRANSIENT),))).boot()
    engine.crash("job", code=1)
    assert engine.calls == ["start job"]
    engine.crash("job", code=0)
    assert engine.calls == ["start job"]
    assert engine.children() == ["job"]
    assert engine.state("job") == "stopped"


def test_tv9_a_temporary_child_is_gone_after_its_end():
    engine = FakeEngine(Group("g", (child("planner"), child("job", Restart.TEMPORARY)))).boot()
    engine.crash("job")
    assert engine.children() == ["planner"]
    assert engine.calls == []


def test_tv10_one_for_all_drops_temporary_siblings_and_starts_transient_ones_that_had_ended():
    group = Group("g", (child("a"), child("b", Restart.TEMPORARY), child("c", Restart.TRANSIENT)),
                  Strategy.ONE_FOR_ALL)  # fmt: skip
    engine = FakeEngine(group).boot()
    engine.crash("c", code=0)
    engine.crash("a")
    assert engine.calls == ["stop b", "start a", "start c"]
    assert engine.children() == ["a", "c"]


def test_tv11_each_failed_start_counts():
    engine = FakeEngine(mesh()).boot()
    engine.broken.add("researcher")
    engine.crash("researcher")
    assert engine.calls.count("start researcher") == 3
    assert engine.supervisor.gave_up


def test_tv12_a_failure_at_boot_stops_in_reverse_those_already_started():
    engine = FakeEngine(mesh())
    engine.broken.add("writer")
    engine.perform(engine.supervisor.boot(engine.now))
    assert engine.calls == ["start planner", "start researcher", "start writer", "stop researcher", "stop planner"]
    assert engine.supervisor.gave_up
    assert engine.reports[-1].reason == "start_failed: exit code 1"
    assert all(status.restarts == 0 for status in engine.supervisor.statuses(engine.now)), "no retry at boot"


def test_tv13_a_child_that_ignores_sigterm_is_killed_when_its_time_is_over():
    engine = FakeEngine(mesh()).boot()
    engine.stubborn.add("memory")
    engine.shutdown()
    assert engine.calls == ["stop memory"]
    engine.pass_time(104.9)
    assert engine.killed_at == {}
    engine.pass_time(106)
    assert engine.killed_at == {"memory": 105.0}
    assert engine.calls == ["stop memory", "kill memory", "stop writer", "stop researcher", "stop planner"]
    assert engine.supervisor.is_down
    assert not engine.supervisor.gave_up


def test_a_brutal_kill_does_not_ask_first():
    engine = FakeEngine(Group("g", (child("job", shutdown_s=0.0),))).boot()
    engine.shutdown()
    assert engine.calls == ["kill job"]


def test_tv14_a_nested_group_that_trips_is_restarted_as_one_and_counted_once():
    inner = Group("inner", (child("a"), child("b")), max_restarts=1, period_s=5)
    engine = FakeEngine(Group("root", (inner, child("c")), max_restarts=1, period_s=60)).boot()
    engine.crash("a", at=100)
    engine.crash("a", at=101)
    assert engine.calls == ["start a", "stop b", "start a", "start b"]
    assert engine.running == {"a", "b", "c"}
    left = {run.spec.id: run.intensity.left(engine.now) for run in engine.supervisor.groups()}
    assert left == {"root": 0, "inner": 1}, "one incident for the parent, and the inner group begins afresh"
    assert not engine.supervisor.gave_up
    engine.crash("a", at=102)
    engine.crash("a", at=103)
    assert engine.supervisor.gave_up, "the second trip of the inner group exceeds the parent's budget of one"


def test_tv15_significant_children_end_their_group_only_by_ending_themselves():
    job = replace(child("job", Restart.TRANSIENT), significant=True)
    group = Group("g", (child("a"), job), Strategy.ONE_FOR_ALL, auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)
    by_sibling = FakeEngine(group).boot()
    by_sibling.crash("a")
    assert by_sibling.calls == ["stop job", "start a", "start job"]
    by_itself = FakeEngine(group).boot()
    by_itself.crash("job", code=0)
    assert by_itself.calls == ["stop a"]
    assert by_itself.supervisor.is_down


def test_a_sibling_that_fails_to_start_is_tried_again_from_there_and_counted():
    engine = FakeEngine(mesh(Strategy.REST_FOR_ONE, max_restarts=3)).boot()
    engine.broken.add("writer")
    engine.crash("researcher")
    assert engine.calls == [
        "stop memory", "stop writer", "start researcher", "start writer", "start writer", "start writer",
        "stop researcher", "stop planner",
    ]  # fmt: skip


def test_a_child_that_dies_while_its_siblings_restart_is_handled_afterwards():
    engine = FakeEngine(mesh(Strategy.REST_FOR_ONE)).boot()
    engine.slow.add("writer")
    engine.crash("researcher")
    engine.calls.clear()
    engine.crash("planner")
    assert engine.calls == []
    engine.slow.clear()
    engine.ready("writer")
    assert engine.calls[:5] == ["start memory", "stop memory", "stop writer", "stop researcher", "start planner"]
    assert len(engine.running) == 4


def test_tv11_a_nested_group_that_fails_to_start_counts_each_time_in_its_parent():
    inner = Group("inner", (child("a"), child("b")), max_restarts=0)
    engine = FakeEngine(Group("root", (child("c"), inner), max_restarts=2, period_s=60)).boot()
    engine.broken.add("b")
    engine.crash("a")
    assert engine.calls.count("start b") == 2, "a trip and two failed starts of the group are three incidents"
    assert engine.supervisor.gave_up
    assert not engine.running


def test_tv14_a_group_that_starts_afresh_has_its_temporary_children_again():
    inner = Group("inner", (child("a"), child("job", Restart.TEMPORARY)), max_restarts=0)
    engine = FakeEngine(Group("root", (inner,))).boot()
    engine.crash("job")
    assert engine.children() == ["a"]
    engine.crash("a")
    assert engine.calls == ["start a", "start job"]
    assert engine.children() == ["a", "job"]


@pytest.mark.parametrize(
    ("auto", "after_one", "after_both"),
    [
        (AutoShutdown.ANY_SIGNIFICANT, ["stop b", "stop j2"], []),
        (AutoShutdown.ALL_SIGNIFICANT, [], ["stop b"]),
        (AutoShutdown.NEVER, [], []),
    ],
)
def test_tv15_any_and_all_significant_children(auto, after_one, after_both):
    significant = auto is not AutoShutdown.NEVER
    jobs = [replace(child(name, Restart.TRANSIENT), significant=significant) for name in ("j1", "j2")]
    engine = FakeEngine(Group("g", (*jobs, child("b")), auto_shutdown=auto)).boot()
    engine.crash("j1", code=0)
    assert engine.calls == after_one
    engine.calls.clear()
    if not after_one:
        engine.crash("j2", code=0)
        assert engine.calls == after_both
    assert engine.supervisor.is_down is significant


def test_tv15_an_end_that_a_person_ordered_is_not_one_by_itself():
    job = replace(child("job", Restart.TRANSIENT), significant=True)
    engine = FakeEngine(Group("g", (child("a"), job), auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)).boot()
    engine.hold("job")
    assert engine.calls == ["stop job"]
    assert engine.running == {"a"}


def test_tv15_an_auto_shutdown_is_an_exit_that_a_permanent_parent_heals_and_a_transient_one_accepts():
    job = replace(child("job", Restart.TRANSIENT), significant=True)

    def ends(restart: Restart) -> list[str]:
        inner = Group("inner", (job,), auto_shutdown=AutoShutdown.ANY_SIGNIFICANT, restart=restart)
        engine = FakeEngine(Group("root", (inner, child("a")))).boot()
        engine.crash("job", code=0)
        return engine.calls

    assert ends(Restart.PERMANENT) == ["start job"]
    assert ends(Restart.TRANSIENT) == []


def test_tv16_a_new_watchdog_adopts_without_a_restart_and_restarts_once_what_died_meanwhile():
    new = FakeEngine(mesh(Strategy.ONE_FOR_ONE))
    names = ("planner", "researcher", "writer", "memory")
    new.running = {"planner", "writer", "memory"}
    for name in names:
        new.perform(new.supervisor.handle(Started(name), new.now))
    new.perform(new.supervisor.boot(new.now))
    assert new.calls == [], "zero restarts for what runs"
    new.perform(new.supervisor.handle(Exited("researcher", "ended while no watchdog was looking"), new.now))
    assert new.calls == ["start researcher"]
    assert [status.restarts for status in new.supervisor.statuses(new.now)] == [0, 1, 0, 0]
