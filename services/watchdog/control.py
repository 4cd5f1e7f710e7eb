"""OTP's control calls on one supervisor, with OTP's own errors. Pure: orders return the actions that follow.

`group` is a supervisor's id ("root" is the top). Two things differ from OTP, where a call waits until the supervisor is
free: an order given while the group starts or restarts its children is woven into what it does, and how a start ends
is told by an event, so a `start_child` that fails counts as a failed start instead of being an error of the call.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from services.watchdog.actions import Action
from services.watchdog.group import GroupRun
from services.watchdog.states import Life, Phase, Slot, Step
from services.watchdog.supervision import Supervisor
from services.watchdog.tree import Child

Condition = Literal["running", "restarting", "undefined"]
Error = Literal["already_started", "already_present", "running", "restarting", "not_found", "noproc"]


class ControlError(Exception):
    """A refused call; `error` is OTP's word: noproc says that no such supervisor runs."""

    def __init__(self, error: Error, what: str) -> None:
        super().__init__(f"{error}: {what}")
        self.error = error


@dataclass(frozen=True)
class ChildInfo:
    """One line of `which_children`, in start order. `undefined`: specified, but without a process."""

    id: str
    condition: Condition
    type: Literal["worker", "supervisor"]


@dataclass(frozen=True)
class Count:
    """`count_children`. `active`: children with a process; `workers` and `supervisors` whether they run or not."""

    specs: int
    active: int
    supervisors: int
    workers: int


@dataclass(frozen=True)
class Control:
    """The calls. Orders raise ControlError and change nothing then."""

    supervisor: Supervisor

    def start_child(self, group: str, child: Child, now: float) -> list[Action]:
        """One more child, last in start order. Raises already_started (it runs, in whatever group) or
        already_present (its specification is there)."""
        run = self._alive(group)
        for other in self.supervisor.groups():
            for slot in other.slots:
                if slot.spec.id == child.id:
                    raise ControlError("already_started" if _condition(other, slot) == "running" else "already_present",
                                       child.id)  # fmt: skip
        return self.supervisor.do(now, lambda: run.add(child))

    def terminate_child(self, group: str, child_id: str, now: float) -> list[Action]:
        """Stops a child and keeps its specification (a temporary one is dropped). Again: nothing. Raises not_found."""
        run = self._alive(group)
        slot = _find(run, child_id)

        def order() -> None:
            run.todo = deque(step for step in run.todo if step.stop or step.slot is not slot)
            run.terminate(slot)

        return self.supervisor.do(now, order)

    def restart_child(self, group: str, child_id: str, now: float) -> list[Action]:
        """Starts a child that was terminated, or ended and stayed down; not counted as a restart, and the end of a
        hold. Raises running, restarting or not_found."""
        run = self._alive(group)
        slot = _down(run, child_id)

        def order() -> None:
            slot.held = False
            if run.todo:
                run.todo.append(Step(slot, stop=False))
            else:
                run.begin(slot)

        return self.supervisor.do(now, order)

    def delete_child(self, group: str, child_id: str, now: float) -> list[Action]:
        """Drops the specification of a child without a process. Raises running, restarting or not_found."""
        run = self._alive(group)
        slot = _down(run, child_id)
        return self.supervisor.do(now, lambda: run.forget(slot))

    def which_children(self, group: str) -> list[ChildInfo]:
        """The children of one supervisor, not those of its supervisors. Raises noproc for an unknown one."""
        run = self._known(group)
        return [ChildInfo(s.spec.id, _condition(run, s), "supervisor" if s.run else "worker") for s in run.slots]

    def count_children(self, group: str) -> Count:
        """The same in numbers."""
        listed = self.which_children(group)
        supervisors = sum(one.type == "supervisor" for one in listed)
        active = sum(one.condition == "running" for one in listed)
        return Count(len(listed), active, supervisors, len(listed) - supervisors)

    def _known(self, group: str) -> GroupRun:
        for run in self.supervisor.groups():
            if run.spec.id == group:
                return run
        raise ControlError("noproc", f"no supervisor {group}")

    def _alive(self, group: str) -> GroupRun:
        run = self._known(group)
        if run.phase in (Phase.DOWN, Phase.STOPPING, Phase.QUARANTINED):
            raise ControlError("noproc", f"{group} is {run.phase}")
        return run


def _find(run: GroupRun, child_id: str) -> Slot:
    for slot in run.slots:
        if slot.spec.id == child_id:
            return slot
    raise ControlError("not_found", child_id)


def _down(run: GroupRun, child_id: str) -> Slot:
    slot = _find(run, child_id)
    condition = _condition(run, slot)
    if condition != "undefined":
        raise ControlError(condition, child_id)
    return slot


def _condition(run: GroupRun, slot: Slot) -> Condition:
    """A child that is being started once more, or waits for its turn in that, is `restarting`."""
    if slot.failed or (slot.life is Life.STARTING and slot.again):
        return "restarting"
    if slot.life is not Life.DOWN:
        return "running"
    waits = any(step.slot is slot and not step.stop for step in run.todo) and not slot.held
    return "restarting" if waits else "undefined"
