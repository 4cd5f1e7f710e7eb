"""The supervisor under any order of events: hypothesis drives a world of processes that obey it, or do not.

The world below knows only what was ordered (`Start`, `Stop`, `Kill`) and what it told back. After each step it holds
the supervisor to its promises: one process per child, what is held stays down, groups that are down have nobody alive,
starts and stops one after another, and never more restarts than the budgets allow.
"""

from __future__ import annotations

import os
from collections import defaultdict

from hypothesis import HealthCheck, settings
from hypothesis import Phase as Generation
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.watchdog.actions import Action, Ending, Exited, Kill, Report, Start, Started, Stop
from services.watchdog.group import GroupRun
from services.watchdog.states import Phase
from services.watchdog.supervision import Supervisor
from services.watchdog.tree import Boot, Child, Group, OnExhausted, Restart, Strategy, leaves

NAMES = ("a", "b", "c", "d", "e", "f", "g")
SERIAL = {Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE}


def leaf(name: str) -> st.SearchStrategy[Child]:
    return st.builds(
        Child,
        id=st.just(name),
        service=st.just(name),
        restart=st.sampled_from([Restart.PERMANENT, Restart.PERMANENT, Restart.TRANSIENT, Restart.TEMPORARY]),
        shutdown_s=st.sampled_from([0.0, 5.0, None]),
    )


def group(name: str, children: st.SearchStrategy[tuple[Child | Group, ...]]) -> st.SearchStrategy[Group]:
    return st.builds(
        Group,
        id=st.just(name),
        children=children,
        strategy=st.sampled_from(list(Strategy)),
        max_restarts=st.integers(0, 3),
        period_s=st.integers(1, 10),
        on_exhausted=st.just(OnExhausted.ESCALATE) if name == "root" else st.sampled_from(list(OnExhausted)),
        boot=st.sampled_from(list(Boot)),
    )


TREES = group(
    "root",
    st.tuples(
        leaf("a"),
        group("inner", st.tuples(leaf("b"), leaf("c"), group("deep", st.tuples(leaf("d"), leaf("e"))))),
        group("other", st.tuples(leaf("f"))),
        leaf("g"),
    ),
)


class World(RuleBasedStateMachine):
    """Processes by child id: `starting`, `running` or `stopping`. Everything takes as long as hypothesis likes."""

    @initialize(tree=TREES)
    def begin(self, tree: Group) -> None:
        self.tree, self.now = tree, 1000
        self.supervisor = Supervisor(tree)
        self.processes: dict[str, str] = {}
        self.held: set[str] = set()
        self.restarts: dict[str, list[int]] = defaultdict(list)
        self.over = False
        self.perform(self.supervisor.boot(self.now))

    # -- what may happen

    @rule(data=st.data())
    @precondition(lambda self: "starting" in self.processes.values())
    def a_start_succeeds(self, data: st.DataObject) -> None:
        name = self.pick(data, "starting")
        self.processes[name] = "running"
        self.perform(self.supervisor.handle(Started(name), self.now))

    @rule(data=st.data(), code=st.integers(0, 1))
    @precondition(lambda self: {"starting", "running"} & set(self.processes.values()))
    def a_process_ends_by_itself(self, data: st.DataObject, code: int) -> None:
        name = self.pick(data, "starting", "running")
        del self.processes[name]
        ending = Ending.ABNORMAL if code else Ending.NORMAL
        self.perform(self.supervisor.handle(Exited(name, f"exit code {code}", ending), self.now))

    @rule(data=st.data())
    @precondition(lambda self: "stopping" in self.processes.values())
    def a_stop_is_obeyed(self, data: st.DataObject) -> None:
        self.gone(self.pick(data, "stopping"))

    @rule(seconds=st.integers(1, 90))
    def time_passes(self, seconds: int) -> None:
        until = self.now + seconds
        while (due := self.supervisor.next_deadline()) is not None and due <= until:
            self.now = max(self.now, int(due))
            down = [run for run in self.supervisor.groups() if run.phase is Phase.QUARANTINED]
            tried = [child.id for run in down for child in leaves(_now(run))]
            self.perform(self.supervisor.tick(self.now))
            for name in tried:
                self.restarts.pop(name, None)  # tried again after its wait, with a budget of its own
        self.now = until

    @rule(name=st.sampled_from(NAMES))
    def somebody_stops(self, name: str) -> None:
        if name in self.children():
            self.held.add(name)
            self.perform(self.supervisor.hold(name, self.now))

    @rule(name=st.sampled_from(NAMES))
    def somebody_stops_the_container(self, name: str) -> None:
        if self.processes.get(name) in ("starting", "running"):
            del self.processes[name]
            self.held.add(name)
            event = Exited(name, "stopped by you", Ending.SHUTDOWN, by_person=True)
            self.perform(self.supervisor.handle(event, self.now))

    @rule(name=st.sampled_from(NAMES))
    def somebody_releases(self, name: str) -> None:
        if name in self.children():
            self.held.discard(name)
            self.restarts.clear()  # people may spend as much as they like
            self.perform(self.supervisor.release(name, self.now))

    @rule(tree=TREES)
    @precondition(lambda self: not self.over)
    def the_same_children_get_other_rules(self, tree: Group) -> None:
        if {c.id for c in leaves(tree) if c.restart is Restart.TEMPORARY} | self.children() == set(NAMES):
            self.perform(self.supervisor.reload(tree, self.now))

    @rule()
    @precondition(lambda self: not self.over)
    def everything_is_stopped(self) -> None:
        self.over = True
        self.perform(self.supervisor.shutdown(self.now))

    # -- what must hold

    @invariant()
    def what_is_said_is_so(self) -> None:
        for status in self.supervisor.statuses(self.now):
            process = self.processes.get(status.child.id)
            if status.child.id in self.held:
                assert status.state == "held"
                assert process in (None, "stopping")
            elif status.state in ("starting", "running"):
                assert process == status.state
            else:
                assert process in (None, "stopping")

    @invariant()
    def nobody_is_alive_in_a_group_that_is_down(self) -> None:
        for run in self.supervisor.groups():
            if run.phase in (Phase.DOWN, Phase.QUARANTINED):
                assert not self.processes.keys() & {child.id for child in leaves(_now(run))}

    @invariant()
    def who_is_down_without_a_reason_is_being_brought_up(self) -> None:
        if self.supervisor.root.phase is not Phase.UP or self.processes_in_between():
            return
        for run in self.supervisor.groups():
            if run.phase is not Phase.UP:
                continue
            for slot in run.slots:
                permanent = isinstance(slot.spec, Child) and slot.spec.restart is Restart.PERMANENT
                if permanent and not slot.held:
                    assert self.processes.get(slot.spec.id) == "running", slot

    @invariant()
    def nobody_is_restarted_more_often_than_the_budgets_allow(self) -> None:
        for name, budget, period in self.budgets(self.supervisor.root, 0, 0):
            recent = [at for at in self.restarts[name] if at >= self.now - period]
            assert len(recent) <= budget, (name, recent, budget)

    def teardown(self) -> None:
        """Told to stop, everything ends, whatever happened before."""
        if not hasattr(self, "supervisor"):
            return
        self.perform(self.supervisor.shutdown(self.now))
        for _ in range(100):
            for name in [n for n, state in self.processes.items() if state == "stopping"]:
                self.gone(name)
        assert not self.processes
        assert self.supervisor.is_down

    # -- inside

    def perform(self, actions: list[Action]) -> None:
        # A budget counts decisions; a start that had to wait for its siblings' stops belongs to an earlier moment.
        decided = any(isinstance(a, Report) and a.kind in ("child_terminated", "start_error") for a in actions)
        asked: list[Start | Stop | Kill] = []  # without the SIGKILL for those whose time to stop is over
        for action in actions:
            if isinstance(action, Report):
                continue
            if self.processes.get(action.id) != "stopping":
                asked.append(action)
            name = action.id
            if isinstance(action, Start):
                assert name not in self.processes, f"{name} is started while it is {self.processes[name]}"
                assert name not in self.held, f"{name} is started although it is held"
                self.processes[name] = "starting"
                if action.again and decided:
                    self.restarts[name].append(self.now)
            elif isinstance(action, Stop):
                assert self.processes.get(name) in ("starting", "running"), f"{name} is stopped, and was not there"
                self.processes[name] = "stopping"
            elif isinstance(action, Kill):
                assert name in self.processes, f"{name} is killed, and was not there"
                self.processes[name] = "stopping"
        if any(isinstance(action, Report) and action.kind == "reloaded" for action in actions):
            self.restarts.clear()  # other budgets from now on
        else:
            self.in_order(asked)

    def in_order(self, actions: list[Start | Stop | Kill]) -> None:
        """One letter leads to one step: a group starts or stops its children one after another, or they are strangers
        to each other (restarts in one_for_one, `boot = "together"`)."""
        for run in self.supervisor.groups():
            own = {slot.spec.id for slot in run.slots}
            starts = [action for action in actions if isinstance(action, Start) and action.id in own]
            if run.spec.boot is Boot.IN_ORDER:
                serial = starts if run.spec.strategy in SERIAL else [start for start in starts if not start.again]
                assert len(serial) <= 1, f"{run.spec.id} starts without waiting: {serial}"
            stops = [action for action in actions if isinstance(action, Stop | Kill) and action.id in own]
            assert len(stops) <= 1, f"{run.spec.id} stops without waiting: {stops}"

    def gone(self, name: str) -> None:
        del self.processes[name]
        self.perform(self.supervisor.handle(Exited(name, "stopped", Ending.SHUTDOWN), self.now))

    def pick(self, data: st.DataObject, *states: str) -> str:
        return data.draw(st.sampled_from(sorted(n for n, state in self.processes.items() if state in states)))

    def children(self) -> set[str]:
        return {status.child.id for status in self.supervisor.statuses(self.now)}

    def processes_in_between(self) -> bool:
        return bool({"starting", "stopping"} & set(self.processes.values()))

    def budgets(self, run: GroupRun, above: int, period: int):
        """Each child with the worst case over its path: (n1 + 1)(n2 + 1)... - 1 in the shortest period."""
        most = (above + 1) * (run.spec.max_restarts + 1) - 1
        shortest = min(period or run.spec.period_s, run.spec.period_s)
        for slot in run.slots:
            if slot.run:
                yield from self.budgets(slot.run, most, shortest)
            else:
                yield slot.spec.id, most, shortest


def _now(run: GroupRun) -> Group:
    return Group("now", tuple(_now(s.run) if s.run else s.spec for s in run.slots))  # type: ignore[misc]


World.TestCase.settings = settings(
    max_examples=2000 if os.environ.get("WARREN_SOAK") else 60,
    stateful_step_count=40,
    deadline=None,
    derandomize=not os.environ.get("WARREN_SOAK"),
    phases=[Generation.explicit, Generation.reuse, Generation.generate, Generation.shrink],
    suppress_health_check=list(HealthCheck),
)
TestSupervisor = World.TestCase
