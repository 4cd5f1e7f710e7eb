"""The supervisor, pure: turns (tree, child states, event, now) into actions.

OTP's rules, in OTP's order: children start from left to right, each after the one before it is ready; they stop
from right to left; what crashed is restarted by its group's strategy within its group's budget; a group that
spends its budget gives up and its parent decides (`escalate`), or stays down and is tried again later
(`quarantine`). Ours: a child that a person stopped is held, whatever happens around it.

Every method takes `now` (monotonic seconds) and returns the actions that follow, in the order they must be taken.
Nothing here waits, reads a clock or touches a process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from services.watchdog.actions import Action, Event, Exited, Kill, Report, Started
from services.watchdog.graft import Changes, graft, settled
from services.watchdog.group import GroupRun
from services.watchdog.states import Desk, Failure, Life, Phase, Slot, Why
from services.watchdog.tree import Child, Group, OnExhausted


class NotFound(LookupError):
    """No child and no service of that name is in the tree."""


@dataclass(frozen=True)
class Status:
    """One child as people see it; `restarts_left`: what its group may still spend now."""

    child: Child
    state: str
    restarts: int
    restarts_left: int
    reason: str
    group: str


class Supervisor:
    """The state of one supervision tree; the root group has nobody above it (see `gave_up`)."""

    def __init__(self, tree: Group) -> None:
        self._desk = Desk()
        self._root = GroupRun(tree, self._desk)
        self._next: tuple[Group, frozenset[str] | None] | None = None
        self.changes = Changes()  # of the last reload

    # -- orders

    def boot(self, now: float) -> list[Action]:
        """Starts everything that is not running yet (children reported `Started` before are adopted)."""
        return self.do(now, lambda: self._root.start(awaited=False))

    def shutdown(self, now: float) -> list[Action]:
        """Stops everything, last started first."""
        return self.do(now, self._root.stop)

    def handle(self, event: Event, now: float) -> list[Action]:
        """What follows from a child's start or end. Unknown children are ignored: they were forgotten."""
        for group, slot in self._leaves():
            if slot.spec.id == event.id:
                return self.do(now, lambda: _deliver(group, slot, event))  # noqa: B023 - called at once
        return []

    def tick(self, now: float) -> list[Action]:
        """Time passed: children that had time enough to stop are killed, quarantined groups are tried again."""
        return self.do(now, self._due)

    def next_deadline(self) -> float | None:
        """When `tick` has something to do next."""
        times = [slot.kill_at for _, slot in self._leaves() if slot.kill_at is not None]
        times += [at for run in self.groups() if (at := _retry_at(run)) is not None]
        return min(times, default=None)

    def hold(self, name: str, now: float) -> list[Action]:
        """A person stops a service (all its children) or one child. Raises `NotFound`."""
        return self._each(name, now, lambda group, slot: group.hold(slot))

    def release(self, name: str, now: float) -> list[Action]:
        """Ends a hold or a quarantine and starts what it kept down. Raises `NotFound`."""
        return self._each(name, now, lambda group, slot: group.release(slot))

    def add(self, child: Child, now: float) -> list[Action]:
        """One more replica, in the group where its service already is and like its siblings. Raises `NotFound`."""
        for group in self.groups():
            for sibling in group.spec.children:
                if isinstance(sibling, Child) and sibling.service == child.service:
                    return self.do(now, lambda: group.add(replace(sibling, id=child.id)))  # noqa: B023 - called at once
        raise NotFound(f"no service {child.service!r} in the tree")

    def forget(self, child_id: str, now: float) -> list[Action]:
        """Stops a child and drops it from the tree. Raises `NotFound`."""
        return self._each(child_id, now, lambda group, slot: group.forget(slot))

    def reload(self, tree: Group, now: float, *, containers: frozenset[str] | None = None) -> list[Action]:
        """Puts another tree in the place of this one, as `graft` does: at once, or (`reloads` is True until then) when
        no group is in the middle of a start, a restart or a stop."""
        self._next = (tree, containers)
        return self.do(now, lambda: None)

    # -- what there is to know

    @property
    def reloads(self) -> bool:
        """A new tree waits until it can be applied."""
        return self._next is not None

    @property
    def root(self) -> GroupRun:
        """The top of the tree, to look at."""
        return self._root

    @property
    def gave_up(self) -> bool:
        """The root itself has ended, and not because it was told to."""
        return self._root.phase is Phase.DOWN and self._root.why is not Why.ORDERED

    @property
    def is_down(self) -> bool:
        """Everything has stopped."""
        return self._root.phase is Phase.DOWN

    def statuses(self, now: float) -> list[Status]:
        """Every child in start order."""
        return [
            Status(
                slot.spec, state_of(group, slot), slot.restarts, group.intensity.left(now), slot.reason, group.spec.id
            )
            for group, slot in self._leaves()
            if isinstance(slot.spec, Child)
        ]

    def forget_stops_since(self, moment: float) -> None:
        """Children stopped from outside after `moment` were not held by a person: the whole machine went down."""
        for _, slot in self._leaves():
            if slot.held and slot.stopped_at is not None and slot.stopped_at >= moment:
                slot.held = False

    def snapshot(self) -> dict[str, Any]:
        """What a new watchdog must know beside the processes: holds, counts, budgets, quarantines. JSON."""
        return {
            "children": {s.spec.id: {"held": s.held, "restarts": s.restarts, "reason": s.reason}
                         for _, s in self._leaves()},
            "groups": {g.spec.id: {"stamps": g.intensity.stamps, "quarantined": g.phase is Phase.QUARANTINED,
                                   "wait_s": g.quarantine.wait_s, "retry_at": g.quarantine.retry_at,
                                   "last_failure": asdict(g.last_failure) if g.last_failure else None}
                       for g in self.groups()},
        }  # fmt: skip

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Takes over what a predecessor knew; call it before `boot`, which then leaves budgets as they are."""
        for _, slot in self._leaves():
            kept = snapshot.get("children", {}).get(slot.spec.id, {})
            slot.held, slot.restarts = bool(kept.get("held")), int(kept.get("restarts", 0))
            slot.reason = str(kept.get("reason", ""))
        for group in self.groups():
            kept = snapshot.get("groups", {}).get(group.spec.id, {})
            group.restored = True
            group.intensity.stamps = [int(stamp) for stamp in kept.get("stamps", [])]
            group.quarantine.wait_s = float(kept.get("wait_s", group.quarantine.wait_s))
            if failure := kept.get("last_failure"):
                group.last_failure = Failure(str(failure["id"]), str(failure["reason"]), float(failure["at"]))
            if kept.get("quarantined"):
                group.phase, group.quarantine.retry_at = Phase.QUARANTINED, kept.get("retry_at")

    # -- inside

    def do(self, now: float, order: Callable[[], None]) -> list[Action]:
        """Carries out an order at `now` and what follows from it; returns the actions."""
        self._desk.now = now
        order()
        self._read_letters()
        if self._next and settled(self._root):
            (tree, containers), self._next = self._next, None
            so_far = len(self._desk.actions)
            self.changes = graft(self._root, tree, containers=containers)
            reason = "; ".join(self.changes.lines()) or "nothing has changed"
            self._desk.actions.insert(so_far, Report("reloaded", tree.id, reason))
            self._read_letters()
        actions, self._desk.actions = self._desk.actions, []
        return actions

    def _read_letters(self) -> None:
        while self._desk.letters:
            self._desk.letters.popleft()()

    def _each(self, name: str, now: float, order: Callable[[GroupRun, Slot], None]) -> list[Action]:
        named = [(g, s) for g, s in self._leaves() if name in (s.spec.id, getattr(s.spec, "service", None))]
        if not named:
            raise NotFound(f"no service or child {name!r} in the tree")

        def all_of_them() -> None:
            for group, slot in named:
                order(group, slot)

        return self.do(now, all_of_them)

    def _due(self) -> None:
        now = self._desk.now
        for _, slot in self._leaves():
            if slot.kill_at is not None and slot.kill_at <= now and slot.life is Life.STOPPING:
                slot.kill_at = None
                self._desk.actions.append(Kill(slot.spec.id))
        for run in self.groups():
            retry_at = _retry_at(run)
            if retry_at is not None and retry_at <= now:
                run.quarantine.leave(now, by_person=False)
                run.start(again=True, awaited=False)

    def groups(self, run: GroupRun | None = None) -> Iterator[GroupRun]:
        """Every supervisor of the tree, from the top, in start order."""
        run = run or self._root
        yield run
        for slot in run.slots:
            if slot.run:
                yield from self.groups(slot.run)

    def _leaves(self, run: GroupRun | None = None) -> Iterator[tuple[GroupRun, Slot]]:
        run = run or self._root
        for slot in list(run.slots):
            if slot.run:
                yield from self._leaves(slot.run)
            else:
                yield run, slot


def _retry_at(run: GroupRun) -> float | None:
    """When a quarantined group is tried again; not while something above it is being stopped."""
    above = run.parent
    while above:
        if above.phase is Phase.STOPPING:
            return None
        above = above.parent
    return run.quarantine.retry_at if run.phase is Phase.QUARANTINED else None


def _deliver(group: GroupRun, slot: Slot, event: Event) -> None:
    if isinstance(event, Started):
        group.started(slot)
    elif isinstance(event, Exited):
        group.exited(slot, event)


def state_of(group: GroupRun, slot: Slot) -> str:
    """A child's state as people see it: starting, running, held, quarantined, stopped."""
    if slot.held:
        return "held"
    if slot.life in (Life.RUNNING, Life.STARTING):
        return slot.life.value
    giving_up = group.phase is Phase.STOPPING and group.why is Why.TRIPPED
    if group.phase is Phase.QUARANTINED or (giving_up and group.spec.on_exhausted is OnExhausted.QUARANTINE):
        return "quarantined"
    return "stopped"
