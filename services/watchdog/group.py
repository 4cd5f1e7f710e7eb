"""One supervisor of the tree as a small state machine: OTP's `supervisor`, one letter at a time.

Several children are started or stopped by working through `todo`, one step after another, as OTP does by blocking;
what happens meanwhile waits in `mail`. Only `one_for_one` restarts run beside each other: no sibling is concerned.
Pure: the clock is `desk.now`, what should be done is appended to `desk.actions`.
"""

from __future__ import annotations

from collections import deque

from services.watchdog.actions import Ending, Exited, Report
from services.watchdog.intensity import Intensity, Quarantine
from services.watchdog.states import Desk, Failure, Life, Phase, Slot, Step, Why, last_reason
from services.watchdog.stepping import Steps
from services.watchdog.tree import AutoShutdown, Child, Group, OnExhausted, Restart, Strategy


class GroupRun(Steps):
    """The state of one group. The owner calls `start` and `stop`, and passes on what its children report."""

    def __init__(self, spec: Group, desk: Desk, *, parent: GroupRun | None = None) -> None:
        super().__init__(spec, desk)
        self.parent = parent
        self.why = Why.ORDERED
        self.intensity = Intensity(spec.max_restarts, spec.period_s)
        self.quarantine = Quarantine()
        self.last_failure: Failure | None = None
        self.mail: deque[tuple[Slot, Exited]] = deque()
        self.awaited = False  # the parent waits to hear how our start went
        self.leaving = False  # a letter about our end is on its way
        self.restored = False  # a predecessor's budget goes on at the next start
        runs = [GroupRun(one, desk, parent=self) if isinstance(one, Group) else None for one in spec.children]
        self.slots = [Slot(one, run) for one, run in zip(spec.children, runs, strict=True)]

    # -- what the parent and people order

    def start(self, *, again: bool = False, awaited: bool = True) -> None:
        """Starts the children from left to right, each after the one before it is ready."""
        self.awaited = awaited
        if self.phase is Phase.QUARANTINED and self.quarantine.retry_at is not None:
            self._tell_started()  # a new watchdog leaves alone what its predecessor had quarantined
            return
        self.phase = Phase.STARTING
        if not self.restored:
            self.intensity.clear()
        self.restored = False
        self._take_back()
        self.todo = deque(Step(slot, stop=False, again=again) for slot in self.slots)
        self.advance()

    def stop(self, why: Why = Why.ORDERED) -> None:
        """Stops the children from right to left, one at a time; afterwards the parent hears of it."""
        if self.phase is Phase.DOWN:
            self._leave()
            return
        self.phase, self.why = Phase.STOPPING, why
        self.quarantine.retry_at = None
        self.mail.clear()
        self.todo = deque(Step(slot, stop=True) for slot in reversed(self.slots))
        self.advance()

    def hold(self, slot: Slot) -> None:
        """Stopped by a person: the child goes down and stays down, whatever its siblings do."""
        slot.held, slot.stopped_at, slot.failed, slot.wanted = True, None, False, False
        self._report("held", slot, "stopped by you")
        self._begin_stop(slot)
        self.advance()

    def release(self, slot: Slot | None = None) -> None:
        """Ends a hold, and a quarantine of the whole group at once."""
        for released in [slot] if slot else self.slots:
            if released.held:
                self._report("released", released)
            released.held = False
            if self.phase is Phase.UP and released.life is Life.STOPPING:
                released.wanted = True
            elif self.phase is Phase.UP and released.life is Life.DOWN and not released.failed:
                self._begin_start(released, again=False)
            elif self.phase in (Phase.STARTING, Phase.RESTARTING) and released.life is not Life.RUNNING:
                self.todo.append(Step(released, stop=False))  # its turn may be over already
        if self.phase is Phase.QUARANTINED:
            self.desk.actions.append(Report("released", self.spec.id))
            self.quarantine.leave(self.desk.now, by_person=True)
            self.start(awaited=False)

    def add(self, child: Child) -> None:
        """One more child at the end (scale out); started at once if the group is up."""
        slot = Slot(child)
        self.slots.append(slot)
        if self.phase is Phase.STARTING:
            self.todo.append(Step(slot, stop=False))
        elif self.phase is Phase.UP:
            self._begin_start(slot, again=False)

    def forget(self, slot: Slot) -> None:
        """The child is not wanted any more (scale in, container destroyed): stopped if need be, then dropped."""
        slot.retired = slot.held = True
        self._begin_stop(slot)
        if slot.life is Life.DOWN:
            self._drop(slot)
        self.advance()

    def terminate(self, slot: Slot) -> None:
        """OTP's `terminate_child`: down until somebody starts it, or its siblings' restart does."""
        slot.failed = slot.wanted = False
        self._begin_stop(slot)
        self._drop_if_temporary(slot)
        self.advance()

    def take_up(self, slots: list[Slot]) -> None:
        """Starts children that a new tree brought, in order; a failed start counts like any other."""
        fresh = [slot for slot in slots if slot.life is Life.DOWN and not slot.held]
        if self.phase is not Phase.UP or not fresh:
            return
        if self.spec.strategy is Strategy.ONE_FOR_ONE:
            for slot in fresh:
                self._begin_start(slot, again=False)
            return
        self.phase = Phase.RESTARTING
        self.todo = deque(Step(slot, stop=False) for slot in fresh)
        self.advance()

    # -- what children report

    def started(self, slot: Slot) -> None:
        """A child is ready. One that nobody asked for was started by a person: that ends a hold or quarantine."""
        if slot.life is Life.STOPPING:
            return
        if self.phase is Phase.STOPPING:
            slot.life = Life.RUNNING if slot.life is Life.STARTING else slot.life
            return
        unasked = slot.life is Life.DOWN
        slot.life, slot.reason, slot.failed = Life.RUNNING, "", False
        if unasked and (slot.held or self.phase is Phase.QUARANTINED):
            self.release(slot)
        self.advance()

    def exited(self, slot: Slot, event: Exited) -> None:
        """A child is gone: expected, a failed start, or a case for this group's strategy."""
        was, slot.life, slot.kill_at = slot.life, Life.DOWN, None
        if was is Life.DOWN:
            return
        if event.by_person and not slot.held:
            slot.held, slot.stopped_at = True, self.desk.now
            self._report("held", slot, "stopped by you")
        if slot.retired:
            self._drop(slot)
            self.advance()
        elif was is Life.STOPPING or self.phase is Phase.STOPPING or slot.held:
            self._expected(slot)
        elif was is Life.STARTING:
            self._start_failed(slot, event.reason)
        elif self.todo:
            if not any(step.slot is slot and step.stop for step in self.todo):
                self.mail.append((slot, event))
            self.advance()
        else:
            self._ended(slot, event)

    def _drop_if_temporary(self, slot: Slot) -> None:
        kept = slot.held or slot.wanted or self.phase is Phase.STOPPING
        if slot.spec.restart is Restart.TEMPORARY and slot.life is Life.DOWN and not kept:
            self._drop(slot)

    def _expected(self, slot: Slot) -> None:
        slot.reason = "stopped by you" if slot.held else slot.reason
        if slot.wanted and self.phase is Phase.UP and not slot.held:
            slot.wanted = False
            self._begin_start(slot, again=False)
        self._drop_if_temporary(slot)
        self.advance()

    def _ended(self, slot: Slot, event: Exited) -> None:
        slot.reason, restart = event.reason, slot.spec.restart
        if restart is Restart.PERMANENT or event.ending is Ending.ABNORMAL:
            self._failed("child_terminated", slot, event.reason)
        if restart is Restart.PERMANENT or (restart is Restart.TRANSIENT and event.ending is Ending.ABNORMAL):
            self._restart(slot)
            return
        if restart is Restart.TEMPORARY:
            self._drop(slot)
        if slot.spec.significant and self._auto_shutdown(slot):
            self.stop(Why.AUTO)

    def _auto_shutdown(self, ended: Slot) -> bool:
        if self.spec.auto_shutdown is AutoShutdown.ALL_SIGNIFICANT:
            return not any(
                s.spec.significant and (s.failed or s.life is not Life.DOWN) for s in self.slots if s is not ended
            )
        return self.spec.auto_shutdown is AutoShutdown.ANY_SIGNIFICANT

    def _start_failed(self, slot: Slot, reason: str) -> None:
        slot.reason = reason
        self._failed("start_error", slot, reason)
        if self.phase is Phase.STARTING and self.spec.on_exhausted is OnExhausted.ESCALATE:
            self.stop(Why.START_FAILED)  # OTP: no retry at boot
            return
        slot.failed = True
        if self.phase in (Phase.STARTING, Phase.RESTARTING):
            self.todo.clear()
        self.desk.post(lambda: self._try_again(slot))

    def _try_again(self, slot: Slot) -> None:
        if not slot.failed or slot.held or self.phase in (Phase.STOPPING, Phase.DOWN, Phase.QUARANTINED):
            return
        slot.failed = False
        self._restart(slot)

    # -- the strategies

    def _restart(self, slot: Slot) -> None:
        if not self.intensity.spend(self.desk.now):
            reason = f"more than {self.spec.max_restarts} restarts in {self.spec.period_s} s; last: {slot.reason}"
            self.desk.actions.append(Report("shutdown", self.spec.id, reason))
            self.stop(Why.TRIPPED)
            return
        booting = self.phase is Phase.STARTING  # a quarantine group goes on with its start after the retry
        if self.spec.strategy is Strategy.ONE_FOR_ONE and not booting:
            self._begin_start(slot, again=True)
            return
        self.phase = Phase.STARTING if booting else Phase.RESTARTING
        concerned = self._concerned(slot)
        stops = [Step(s, stop=True) for s in reversed(concerned) if s is not slot]
        starts = [Step(s, stop=False, again=not booting or s is slot) for s in concerned]
        starts = [step for step in starts if booting or step.slot.spec.restart is not Restart.TEMPORARY]
        rest = [Step(s, stop=False) for s in self.slots if booting and s not in concerned]
        self.todo = deque(stops + starts + rest)
        self.advance()

    def _concerned(self, slot: Slot) -> list[Slot]:
        if self.spec.strategy is Strategy.ONE_FOR_ALL:
            return list(self.slots)
        return self.slots[self.slots.index(slot) :] if self.spec.strategy is Strategy.REST_FOR_ONE else [slot]

    # -- when all steps are taken

    def _finished(self) -> None:
        if self.phase is Phase.STOPPING:
            self._is_down()
            return
        self.phase = Phase.UP
        self._tell_started()
        while self.mail and self.phase is Phase.UP:
            slot, event = self.mail.popleft()
            if slot.life is Life.DOWN and slot in self.slots and not slot.held:
                self._ended(slot, event)

    def _is_down(self) -> None:
        for slot in self.slots:
            slot.failed = False
        if self.why is Why.TRIPPED and self.spec.on_exhausted is OnExhausted.QUARANTINE:
            self.phase = Phase.QUARANTINED
            wait = self.quarantine.enter(self.desk.now)
            self.desk.actions.append(
                Report("quarantined", self.spec.id, f"{last_reason(self.slots)}; next try in {wait:.0f} s")
            )
            self._tell_started()
            return
        self.phase = Phase.DOWN
        self._leave()

    def _leave(self) -> None:
        """Told once: the parent may order a stop while our own end is already on its way."""
        if not self.leaving:
            self.leaving = True
            self.desk.post(self._tell_exited)

    def _tell_started(self) -> None:
        if self.awaited and self.parent:
            self.awaited = False
            parent, slot = self.parent, self.parent.slot_of(self)
            self.desk.post(lambda: parent.started(slot))

    def _tell_exited(self) -> None:
        self.leaving = False
        if self.parent:
            reason = last_reason(self.slots) if self.why is Why.START_FAILED else f"shutdown: {self.why}"
            self.parent.exited(self.parent.slot_of(self), Exited(self.spec.id, reason, Ending.SHUTDOWN))
        elif self.why is not Why.ORDERED:
            self.desk.actions.append(Report("gave_up", self.spec.id, f"{self.why}: {last_reason(self.slots)}"))

    def slot_of(self, run: GroupRun) -> Slot:
        """The slot of a nested group."""
        return next(slot for slot in self.slots if slot.run is run)

    def _report(self, kind: str, slot: Slot, reason: str = "") -> None:
        self.desk.actions.append(Report(kind, slot.spec.id, reason))

    def _failed(self, kind: str, slot: Slot, reason: str) -> None:
        self.last_failure = Failure(slot.spec.id, reason, self.desk.now)
        self._report(kind, slot, reason)
