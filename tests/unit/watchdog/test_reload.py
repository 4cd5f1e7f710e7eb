"""A changed tree in the place of the one that runs: only what changed is touched."""

from __future__ import annotations

from services.watchdog.supervision import Supervisor
from services.watchdog.tree import Child, Group, leaves
from services.watchdog.tree_file import parse_tree
from tests.unit.watchdog.fake_engine import FakeEngine

TREE = """
[[children]]
group = "memory"
max_restarts = 2
period_s = 60
on_exhausted = "quarantine"
children = [{ service = "memory" }]

[[children]]
group = "work"
strategy = "rest_for_one"
children = [{ service = "planner" }, { service = "researcher", replicas = 2 }]
"""


def running(text: str = TREE) -> FakeEngine:
    return FakeEngine(parse_tree(text)).boot()


def reload(engine: FakeEngine, tree: str | Group, containers: frozenset[str] | None = None) -> list[str]:
    new = parse_tree(tree) if isinstance(tree, str) else tree
    return engine.order(engine.supervisor.reload(new, engine.now, containers=containers))


def last_report(engine: FakeEngine) -> str:
    report = engine.reports[-1]
    assert report.kind == "reloaded"
    return report.reason


def test_the_same_tree_changes_nothing():
    engine = running()
    engine.crash("planner-1")
    before = engine.supervisor.snapshot()
    assert reload(engine, TREE) == []
    assert last_report(engine) == "nothing has changed"
    assert engine.supervisor.snapshot() == before


def test_a_new_child_is_started_and_one_that_is_gone_is_stopped():
    engine = running()
    assert reload(engine, TREE.replace("replicas = 2", "replicas = 3")) == ["start researcher-3"]
    assert last_report(engine) == "added researcher-3"
    assert reload(engine, TREE.replace("replicas = 2", "replicas = 1")) == ["stop researcher-3", "stop researcher-2"]
    assert engine.running == {"memory-1", "planner-1", "researcher-1"}
    assert engine.children() == ["memory-1", "planner-1", "researcher-1"]


def test_a_new_group_starts_in_order_and_one_that_is_gone_goes_with_its_children():
    engine = running()
    group = '[[children]]\ngroup = "out"\nchildren = [{ service = "writer" }, { service = "printer" }]\n'
    assert reload(engine, TREE + group) == ["start writer-1", "start printer-1"]
    assert last_report(engine) == "added out, writer-1, printer-1"
    assert reload(engine, TREE) == ["stop printer-1", "stop writer-1"]
    assert engine.children() == ["memory-1", "planner-1", "researcher-1", "researcher-2"]
    assert {run.spec.id for run in engine.supervisor.groups()} == {"root", "memory", "work"}


def test_changed_fields_hold_from_now_on_without_a_restart():
    engine = running()
    engine.crash("planner-1")
    engine.calls.clear()
    changed = TREE.replace("rest_for_one", "one_for_one").replace("max_restarts = 2", "max_restarts = 0")
    changed = changed.replace('"memory" }', '"memory", shutdown_ms = 100 }')
    assert reload(engine, changed) == []
    assert last_report(engine) == "changed memory, memory-1, work"
    engine.crash("planner-1")
    assert engine.calls == ["start planner-1"], "no rest any more"
    engine.crash("memory-1")
    assert engine.state("memory-1") == "quarantined", "not one restart any more"


def test_another_command_is_another_process_and_not_a_restart_that_counts():
    engine = running()
    changed = TREE.replace('"memory" }', '"memory", command = ["other"] }')
    assert reload(engine, changed) == ["stop memory-1", "start memory-1"]
    assert {status.restarts for status in engine.supervisor.statuses(engine.now)} == {0}


def test_a_child_that_moves_to_another_group_goes_on_running():
    engine = running()
    moved = TREE.replace(', { service = "researcher", replicas = 2 }', "").replace(
        '{ service = "memory" }', '{ service = "memory" }, { service = "researcher", replicas = 2 }'
    )
    assert reload(engine, moved) == []
    engine.crash("planner-1")
    assert engine.calls == ["start planner-1"], "its former siblings are none any more"
    engine.crash("researcher-1")
    assert engine.running == {"memory-1", "planner-1", "researcher-1", "researcher-2"}


def test_a_job_that_had_ended_and_is_permanent_now_is_started():
    engine = running(TREE + '[[children]]\nservice = "job"\nrestart = "transient"\n')
    engine.crash("job-1", code=0)
    assert reload(engine, TREE + '[[children]]\nservice = "job"\n') == ["start job-1"]


def test_holds_and_quarantines_and_replicas_beyond_the_tree_stay():
    engine = running()
    engine.hold("planner")
    for _ in range(3):
        engine.crash("memory-1")
    engine.order(engine.supervisor.add(parse_one("researcher", 3), engine.now))
    assert reload(engine, TREE + '[[children]]\nservice = "writer"\n') == ["start writer-1"]
    assert (engine.state("planner-1"), engine.state("memory-1")) == ("held", "quarantined")
    assert "researcher-3" in engine.running


def test_a_service_scaled_in_by_hand_is_not_scaled_out_by_an_unchanged_tree():
    engine = running()
    engine.order(engine.supervisor.forget("researcher-2", engine.now))
    assert reload(engine, TREE) == []
    assert "researcher-2" not in engine.children()


def test_in_the_middle_of_a_start_a_new_tree_waits():
    engine = running()
    engine.slow.add("researcher-1")
    engine.crash("planner-1")
    assert "starting" in {status.state for status in engine.supervisor.statuses(engine.now)}
    assert reload(engine, TREE + '[[children]]\nservice = "writer"\n') == []
    assert engine.supervisor.reloads
    engine.calls.clear()
    engine.ready("researcher-1")
    assert engine.calls == ["start researcher-2", "start writer-1"]
    assert not engine.supervisor.reloads


def test_a_new_child_that_cannot_start_is_counted_and_only_its_group_pays():
    engine = running()
    engine.broken.add("printer-1")
    new = TREE.replace('[{ service = "memory" }]', '[{ service = "memory" }, { service = "printer" }]')
    reload(engine, new)
    assert engine.state("printer-1") == "quarantined"
    assert engine.running == {"planner-1", "researcher-1", "researcher-2"}


def test_in_containers_compose_says_how_many_there_are():
    engine = running()
    here = frozenset({"memory-1", "planner-1", "researcher-1", "researcher-2"})
    more = TREE.replace("replicas = 2", "replicas = 4") + '[[children]]\nservice = "writer"\n'
    assert reload(engine, more, here) == [], "no container, no child"
    assert reload(engine, TREE.replace("replicas = 2", "replicas = 1"), here) == []
    assert "researcher-2" in engine.running


def test_what_a_successor_is_told_fits_the_new_tree():
    engine = running()
    reload(engine, TREE.replace("replicas = 2", "replicas = 3"))
    engine.crash("researcher-3")
    successor = Supervisor(parse_tree(TREE.replace("replicas = 2", "replicas = 3")))
    successor.restore(engine.supervisor.snapshot())
    assert successor.snapshot() == engine.supervisor.snapshot()


def parse_one(service: str, number: int) -> Child:
    tree = parse_tree(f'children = [{{ service = "{service}", replicas = {number} }}]')
    return [*leaves(tree)][-1]
