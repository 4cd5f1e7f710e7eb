"""Which fault comes next, and what is seen of a service from outside."""

from tests.chaos.plan import BUDGET, CUT, FREEZE, HANG, KILL, PERIOD_S, STORM_HITS, Plan
from tests.chaos.seen import Seen

SERVICES = ("planner", "memory", "writer", "broker")


def test_the_same_seed_chooses_the_same_and_everybody_has_a_turn() -> None:
    one, two = Plan(7, SERVICES), Plan(7, SERVICES)
    chosen = [one.service(0, recovering=()) for _ in range(8)]
    assert chosen == [two.service(0, recovering=()) for _ in range(8)]
    assert set(chosen[:4]) == set(chosen[4:]) == set(SERVICES)


def test_nobody_is_hit_beyond_its_budget_or_while_it_recovers() -> None:
    plan = Plan(1, ("planner",))
    for _ in range(BUDGET):
        assert plan.service(0, recovering=()) == "planner"
        assert plan.service(0, recovering={"planner"}) is None
        plan.spend("planner", 0)
    assert plan.service(PERIOD_S - 1, recovering=()) is None
    assert plan.service(PERIOD_S + 1, recovering=()) == "planner"


def test_a_storm_hits_one_service_beyond_its_budget_before_the_next() -> None:
    plan = Plan(1, SERVICES, storm=True)
    chosen = [plan.service(0, recovering=SERVICES) for _ in range(2 * STORM_HITS + 1)]
    assert len(set(chosen[:STORM_HITS])) == len(set(chosen[STORM_HITS : 2 * STORM_HITS])) == 1
    assert len(set(chosen)) == 3
    plan.leave()
    assert plan.service(0, recovering=()) not in set(chosen)


def test_what_nobody_watches_never_hangs_for_good() -> None:
    plan = Plan(3, SERVICES)
    assert {plan.kind("broker") for _ in range(60)} == {KILL, FREEZE}
    assert {plan.kind("writer") for _ in range(60)} == {KILL, FREEZE, HANG}


def test_connections_are_cut_where_that_can_be_done_and_there_are_some() -> None:
    plan = Plan(3, SERVICES, cuts=True)
    kinds = [plan.kind("writer") for _ in range(600)]
    assert set(kinds) == {KILL, FREEZE, HANG, CUT}
    assert 350 < kinds.count(KILL) < 450
    assert 60 < kinds.count(CUT) < 140
    assert CUT not in {plan.kind("postgres") for _ in range(60)}


def test_who_works_is_told_by_events() -> None:
    seen = Seen()
    about = {"goal_id": "g", "step": "s1", "worker": "researcher-1"}

    def holds(service: str, now: float, *, calls: int = 0) -> str | None:
        return seen.holds(service, instance=f"{service}-1", calls=calls, now=now)

    assert holds("planner", 0.0) is None
    seen.hear({"event": "planning_started", "goal_id": "g", "seq": 2}, 1.0)
    seen.hear({"event": "step_claimed", **about, "seq": 6}, 1.0)
    assert holds("researcher", 9.0)
    assert holds("writer", 9.0) is None
    assert holds("planner", 1.05)
    assert holds("planner", 2.0) is None
    assert holds("inference", 1.0) is None
    assert holds("inference", 1.0, calls=2)
    seen.hear({"event": "step_finished", **about, "seq": 7}, 3.0)
    assert holds("researcher", 3.0) is None
    assert holds("broker", 3.0)
    seen.hear({"event": "step_claimed", **about, "seq": 6}, 3.5)
    assert holds("researcher", 3.5) is None, "told again, after it had ended"
    seen.hear({"event": "goal_completed", "goal_id": "g", "seq": 9}, 4.0)
    assert (holds("broker", 4.0), seen.ended) == (None, 1)
    seen.hear({"event": "step_claimed", **about, "step": "s2", "seq": 12}, 5.0)
    assert holds("researcher", 5.0) is None, "of a goal whose end was told"
