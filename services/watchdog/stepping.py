"""How a group takes its steps: children stopped and started one after another, as OTP does by blocking."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque

from services.watchdog.actions import Kill, Start, Stop
from services.watchdog.states import Desk, Life, Phase, Slot, Step
from services.watchdog.tree import Boot, Group, Restart


class Steps(ABC):
    """A list of things to do (`todo`) and the child in hand; the group itself says what to do and what then."""

    def __init__(self, spec: Group, desk: Desk) -> None:
        self.spec = spec
        self.desk = desk
        self.phase = Phase.DOWN
        self.todo: deque[Step] = deque()
        self.slots: list[Slot] = []
        self.dropped: list[Slot] = []  # temporary children that have ended

    @abstractmethod
    def _finished(self) -> None:
        """All steps are taken."""

    def begin(self, slot: Slot) -> None:
        """Starts a child that is down; not counted."""
        if slot.life is Life.DOWN:
            self._begin_start(slot, again=False)

    def run_anew(self, slot: Slot) -> None:
        """Stops a child and starts it again with what its specification says now; not counted."""
        if slot.life in (Life.STARTING, Life.RUNNING) and not slot.held:
            self._begin_stop(slot)
            slot.wanted = True

    def advance(self) -> None:
        """Takes the steps that can be taken now; the next call comes when the child in hand has reported."""
        if self.phase not in (Phase.STARTING, Phase.RESTARTING, Phase.STOPPING):
            return
        while self.todo:
            step = self.todo[0]
            if not (self._stopped(step) if step.stop else self._up(step)):
                return
            self.todo.popleft()
        if not any(slot.failed for slot in self.slots) or self.phase is Phase.STOPPING:
            self._finished()

    def _stopped(self, step: Step) -> bool:
        slot = step.slot
        self._begin_stop(slot)
        if slot.life is not Life.DOWN:
            return False
        if self.phase is Phase.RESTARTING and slot.spec.restart is Restart.TEMPORARY:
            self._drop(slot)
        return True

    def _drop(self, slot: Slot) -> None:
        """The child leaves the group; a temporary one comes back when the whole group is started afresh."""
        if slot in self.slots:
            self.slots.remove(slot)
            if slot.spec.restart is Restart.TEMPORARY and not slot.retired:
                self.dropped.append(slot)

    def _take_back(self) -> None:
        """A supervisor that starts has all children of its specification, temporary ones included."""
        self.slots += [slot for slot in self.dropped if slot.spec in self.spec.children]
        self.dropped.clear()
        place = {one.id: number for number, one in enumerate(self.spec.children)}
        self.slots.sort(key=lambda slot: place.get(slot.spec.id, len(place)))

    def _up(self, step: Step) -> bool:
        slot = step.slot
        if slot.held or slot not in self.slots:
            return True
        if slot.life is Life.DOWN:
            self._begin_start(slot, again=step.again)
        together = self.phase is Phase.STARTING and self.spec.boot is Boot.TOGETHER
        return slot.life is Life.RUNNING or (together and slot.life is Life.STARTING)

    def _begin_start(self, slot: Slot, *, again: bool) -> None:
        slot.life, slot.failed, slot.again = Life.STARTING, False, again
        slot.restarts += again
        if slot.run:
            slot.run.start(again=again)
        else:
            self.desk.actions.append(Start(slot.spec.id, again=again))

    def _begin_stop(self, slot: Slot) -> None:
        if slot.life not in (Life.STARTING, Life.RUNNING):
            return
        slot.life, slot.failed = Life.STOPPING, False
        if isinstance(slot.spec, Group):
            if slot.run:
                slot.run.stop()
        elif slot.spec.shutdown_s == 0:
            self.desk.actions.append(Kill(slot.spec.id))
        else:
            within = slot.spec.shutdown_s
            slot.kill_at = None if within is None else self.desk.now + within
            self.desk.actions.append(Stop(slot.spec.id, within))
