"""A changed tree put in the place of the one that runs, without touching what did not change. Pure.

Children are told apart by their ids: one that moved to another group goes on running there. New ones are started, those
that are gone are stopped, changed ones have their new fields from now on; only another `command` means another process.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from services.watchdog.group import GroupRun
from services.watchdog.states import Life, Phase, Slot
from services.watchdog.tree import Child, Group, Restart, leaves


@dataclass
class Changes:
    """What a new tree changed: ids of children and groups, in start order."""

    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """One line per kind of change, for people."""
        kinds = {"added": self.added, "removed": self.removed, "changed": self.changed}
        return [f"{kind} {', '.join(ids)}" for kind, ids in kinds.items() if ids]


def graft(root: GroupRun, tree: Group, *, containers: frozenset[str] | None = None) -> Changes:
    """Puts `tree` in the place of what `root` runs; call it while no group is in the middle of something.

    `containers`: what compose has created. Then it is compose that says how many replicas there are: a child without
    a container is left out, and one is stopped only when its whole service is gone from the tree.
    """
    return _Graft(root, tree, containers).apply()


class _Graft:
    def __init__(self, root: GroupRun, tree: Group, containers: frozenset[str] | None) -> None:
        self.root, self.tree, self.containers = root, tree, containers
        self.runs = {run.spec.id: run for run in _runs(root)}
        self.specified = {child.id for child in leaves(root.spec)}
        self.children = {s.spec.id: (run, s) for run in _runs(root) for s in run.slots if s.run is None}
        self.groups = {slot.spec.id: slot for run in _runs(root) for slot in run.slots if slot.run}
        self.changes = Changes()
        self.to_start: list[tuple[GroupRun, Slot]] = []
        self.to_run_anew: list[tuple[GroupRun, Slot]] = []

    def apply(self) -> Changes:
        before = [*self.groups]
        self._respec(self.root, self.tree)
        now_there = {run.spec.id for run in _runs(self.root)}
        self.changes.removed += [name for name in before if name not in now_there]
        for _, slot in reversed(self.children.values()):  # nobody has taken these over
            self.changes.removed.append(slot.spec.id)
            self.root.slots.append(slot)
            self.root.forget(slot)
        for run, slot in self.to_run_anew:
            run.run_anew(slot)
        for run in list(_runs(self.root)):
            run.take_up([slot for owner, slot in self.to_start if owner is run])
        return self.changes

    def _respec(self, run: GroupRun, spec: Group) -> None:
        if run.spec != spec and replace(run.spec, children=()) != replace(spec, children=()):
            self.changes.changed.append(spec.id)
        run.spec = spec
        run.intensity.max_restarts, run.intensity.period_s = spec.max_restarts, spec.period_s
        slots = [self._group(run, one) if isinstance(one, Group) else self._child(run, one) for one in spec.children]
        run.slots = [slot for slot in slots if slot] + list(self._scaled(run, spec))
        specs = {one.id: one for one in spec.children}
        run.dropped = [slot for slot in run.dropped if slot.spec.id in specs]
        for slot in run.dropped:
            slot.spec = specs[slot.spec.id]

    def _group(self, parent: GroupRun, spec: Group) -> Slot:
        run, slot = self.runs.get(spec.id), self.groups.get(spec.id)
        if run is None or slot is None:
            run = GroupRun(replace(spec, children=()), parent.desk, parent=parent)
            slot = Slot(spec, run)
            self.changes.added.append(spec.id)
            self.to_start.append((parent, slot))
        run.parent, slot.spec = parent, spec
        self._respec(run, spec)
        return slot

    def _child(self, run: GroupRun, spec: Child) -> Slot | None:
        if spec.id not in self.children:
            absent = self.containers is not None and spec.id not in self.containers
            if spec.id in self.specified or absent:  # scaled in, ended for good, or not created by compose
                return None
            slot = Slot(spec)
            self.changes.added.append(spec.id)
            self.to_start.append((run, slot))
            return slot
        owner, slot = self.children.pop(spec.id)
        if isinstance(slot.spec, Child) and slot.spec != spec:
            self.changes.changed.append(spec.id)
            if slot.spec.command != spec.command:
                self.to_run_anew.append((run, slot))
        wanted_now = owner is not run or slot.spec.restart is not Restart.PERMANENT
        if wanted_now and spec.restart is Restart.PERMANENT and slot.life is Life.DOWN:
            self.to_start.append((run, slot))  # out of a group that was down, or it had ended and was done then
        slot.spec = spec
        return slot

    def _scaled(self, run: GroupRun, spec: Group) -> Iterator[Slot]:
        """Replicas that the tree does not name stay with their service, and are like their siblings."""
        siblings = {one.service: one for one in spec.children if isinstance(one, Child)}
        named = {child.id for child in leaves(self.tree)}
        for name, (_, slot) in list(self.children.items()):
            beyond = name not in named and (self.containers is not None or name not in self.specified)
            if beyond and isinstance(slot.spec, Child) and slot.spec.service in siblings:
                del self.children[name]
                slot.spec = replace(siblings[slot.spec.service], id=name)
                yield slot


def settled(root: GroupRun) -> bool:
    """No group is in the middle of a start, a restart or a stop."""
    return root.phase is Phase.UP and all(
        run.phase in (Phase.UP, Phase.DOWN, Phase.QUARANTINED) and not run.leaving for run in _runs(root)
    )


def _runs(run: GroupRun) -> Iterator[GroupRun]:
    yield run
    for slot in run.slots:
        if slot.run:
            yield from _runs(slot.run)
