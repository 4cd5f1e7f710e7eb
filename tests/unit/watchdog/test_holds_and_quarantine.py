"""What containers and people add to OTP: holds, releases, quarantine, adoption."""

import pytest

from services.watchdog.actions import Exited, Started
from services.watchdog.supervision import NotFound
from services.watchdog.tree import Child, Group, OnExhausted, Strategy
from tests.unit.watchdog.fake_engine import FakeEngine, mesh


def shipped() -> Group:
    """Each service its own group, 5 in 60 s, quarantine; two researchers."""
    researchers = (Child("researcher-1", "researcher"), Child("researcher-2", "researcher"))

    def own(name: str, *children: Child) -> Group:
        return Group(name, children, max_restarts=5, period_s=60, on_exhausted=OnExhausted.QUARANTINE)

    return Group("root", (own("memory", Child("memory-1", "memory")), own("researcher", *researchers)))


def exhaust(engine: FakeEngine, name: str = "memory-1") -> None:
    for _ in range(6):
        engine.crash(name)


def test_what_a_person_stopped_stays_down_and_is_not_counted():
    engine = FakeEngine(shipped()).boot()
    engine.hold("researcher")
    assert engine.calls == ["stop researcher-1", "stop researcher-2"]
    assert engine.state("researcher-1") == "held"
    engine.release("researcher")
    assert engine.running == {"memory-1", "researcher-1", "researcher-2"}
    assert all(status.restarts == 0 for status in engine.supervisor.statuses(engine.now))


def test_a_container_stopped_by_hand_is_held_until_it_is_started_by_hand():
    engine = FakeEngine(shipped()).boot()
    engine.stopped_by_person("researcher-2")
    assert engine.calls == []
    assert engine.state("researcher-2") == "held"
    engine.ready("researcher-2")
    assert engine.state("researcher-2") == "running"


def test_a_held_child_is_not_started_with_its_siblings():
    engine = FakeEngine(mesh(Strategy.ONE_FOR_ALL)).boot()
    engine.hold("writer")
    engine.calls.clear()
    engine.crash("planner")
    assert "start writer" not in engine.calls
    assert engine.running == {"planner", "researcher", "memory"}


def test_a_hold_during_a_slow_stop_and_a_release_before_its_end_starts_it_again():
    engine = FakeEngine(shipped()).boot()
    engine.stubborn.add("memory-1")
    engine.hold("memory")
    engine.release("memory")
    engine.pass_time(106)
    assert engine.calls == ["stop memory-1", "kill memory-1", "start memory-1"]
    assert engine.state("memory-1") == "running"


def test_an_exhausted_service_is_quarantined_and_the_others_go_on():
    engine = FakeEngine(shipped()).boot()
    exhaust(engine)
    assert engine.state("memory-1") == "quarantined"
    assert engine.running == {"researcher-1", "researcher-2"}
    assert engine.kinds().count("quarantined") == 1
    assert not engine.supervisor.gave_up


def test_a_quarantined_service_is_tried_again_after_60_s_doubling_to_10_minutes():
    engine = FakeEngine(shipped()).boot()
    exhaust(engine)
    waits = []
    for _ in range(5):
        deadline = engine.supervisor.next_deadline()
        assert deadline is not None
        waits.append(deadline - engine.now)
        engine.pass_time(deadline)
        assert engine.state("memory-1") == "running"
        exhaust(engine)
    assert waits == [60, 120, 240, 480, 600]


def test_a_quarantined_service_is_not_tried_again_while_everything_stops():
    engine = FakeEngine(shipped()).boot()
    exhaust(engine)
    engine.stubborn.add("researcher-2")
    engine.perform(engine.supervisor.shutdown(engine.now))
    deadline = engine.now + 5
    assert engine.supervisor.next_deadline() == deadline, "the kill of who does not stop, not the next try"
    engine.calls.clear()
    engine.perform(engine.supervisor.tick(engine.now + 60))
    assert engine.calls == ["kill researcher-2", "stop researcher-1"]
    assert engine.supervisor.is_down


def test_a_try_that_held_long_enough_begins_again_at_60_s():
    engine = FakeEngine(shipped()).boot()
    exhaust(engine)
    engine.pass_time(engine.now + 60)
    engine.pass_time(engine.now + 3600)
    exhaust(engine)
    assert engine.supervisor.next_deadline() == engine.now + 60


def test_a_release_ends_a_quarantine_at_once():
    engine = FakeEngine(shipped()).boot()
    exhaust(engine)
    engine.release("memory")
    assert engine.state("memory-1") == "running"
    assert engine.supervisor.next_deadline() is None


def test_a_service_broken_from_the_start_is_quarantined_and_the_boot_goes_on():
    engine = FakeEngine(shipped())
    engine.broken.add("memory-1")
    engine.boot()
    assert engine.state("memory-1") == "quarantined"
    assert engine.running == {"researcher-1", "researcher-2"}


def test_a_shutdown_includes_what_is_quarantined_or_held():
    engine = FakeEngine(shipped()).boot()
    exhaust(engine)
    engine.hold("researcher-1")
    engine.shutdown()
    assert engine.supervisor.is_down
    assert not engine.running


def test_a_new_watchdog_adopts_what_runs_and_restarts_once_what_died_meanwhile():
    old = FakeEngine(shipped()).boot()
    old.crash("memory-1")
    new = FakeEngine(shipped(), now=110.0)
    new.supervisor.restore(old.supervisor.snapshot())
    new.running = {"researcher-1", "memory-1"}
    for name in ("memory-1", "researcher-1", "researcher-2"):
        new.perform(new.supervisor.handle(Started(name), new.now))
    new.perform(new.supervisor.boot(new.now))
    assert new.calls == []
    new.perform(new.supervisor.handle(Exited("researcher-2", "died meanwhile"), new.now))
    assert new.calls == ["start researcher-2"]
    left = {status.child.id: status.restarts_left for status in new.supervisor.statuses(new.now)}
    assert left == {"memory-1": 4, "researcher-1": 4, "researcher-2": 4}


def test_a_new_watchdog_respects_holds_and_quarantines():
    old = FakeEngine(shipped()).boot()
    exhaust(old)
    old.hold("researcher-1")
    new = FakeEngine(shipped(), now=old.now)
    new.supervisor.restore(old.supervisor.snapshot())
    new.running = {"researcher-2"}
    new.perform(new.supervisor.handle(Started("researcher-2"), new.now))
    new.perform(new.supervisor.boot(new.now))
    assert new.calls == []
    assert (new.state("memory-1"), new.state("researcher-1")) == ("quarantined", "held")
    assert new.supervisor.next_deadline() == new.now + 60


def test_a_replica_can_be_added_and_forgotten():
    engine = FakeEngine(shipped()).boot()
    engine.perform(engine.supervisor.add(Child("researcher-3", "researcher"), engine.now))
    assert engine.calls == ["start researcher-3"]
    engine.perform(engine.supervisor.forget("researcher-3", engine.now))
    assert engine.calls[-1] == "stop researcher-3"
    assert engine.children() == ["memory-1", "researcher-1", "researcher-2"]


def test_an_unknown_name_is_refused():
    engine = FakeEngine(shipped()).boot()
    with pytest.raises(NotFound, match="printer"):
        engine.hold("printer")
