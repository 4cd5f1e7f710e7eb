"""The vectors of OTP's supervisor, on a fake engine and a fake clock."""

from dataclasses import replace

import pytest

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
