"""A fake engine on a fake clock: does at once what the supervisor asks for, and notes it."""

from __future__ import annotations

from collections.abc import Iterable

from services.watchdog.actions import Action, Ending, Exited, Kill, Report, Start, Started, Stop
from services.watchdog.supervision import Supervisor
from services.watchdog.tree import Child, Group, Restart, Strategy


class FakeEngine:
    """Children start and stop at once, unless named in `stubborn` (ignores SIGTERM), `broken` (fails to start) or
    `slow` (starts only when `ready` is called)."""

    def __init__(self, tree: Group, *, now: float = 100.0) -> None:
        self.supervisor = Supervisor(tree)
        self.now = now
        self.running: set[str] = set()
        self.stubborn: set[str] = set()
        self.broken: set[str] = set()
        self.slow: set[str] = set()
        self.calls: list[str] = []
        self.reports: list[Report] = []
        self.killed_at: dict[str, float] = {}

    def boot(self) -> FakeEngine:
        self.perform(self.supervisor.boot(self.now))
        self.calls.clear()
        return self

    def crash(self, child: str, *, at: float | None = None, code: int = 1) -> None:
        self.now = self.now if at is None else at
        self.running.discard(child)
        ending = Ending.ABNORMAL if code else Ending.NORMAL
        self.perform(self.supervisor.handle(Exited(child, f"exit code {code}", ending), self.now))

    def stopped_by_person(self, child: str) -> None:
        self.running.discard(child)
        event = Exited(child, "SIGTERM", Ending.SHUTDOWN, by_person=True)
        self.perform(self.supervisor.handle(event, self.now))

    def order(self, actions: list[Action]) -> list[str]:
        """Carries out what a control call returned; the calls that this led to."""
        before = len(self.calls)
        self.perform(actions)
        return self.calls[before:]

    def ready(self, child: str) -> None:
        self.running.add(child)
        self.perform(self.supervisor.handle(Started(child), self.now))

    def hold(self, name: str) -> None:
        self.perform(self.supervisor.hold(name, self.now))

    def release(self, name: str) -> None:
        self.perform(self.supervisor.release(name, self.now))

    def shutdown(self) -> None:
        self.perform(self.supervisor.shutdown(self.now))

    def pass_time(self, until: float) -> None:
        """Moves the clock, stopping at every deadline on the way."""
        while (deadline := self.supervisor.next_deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.perform(self.supervisor.tick(self.now))
        self.now = until
        self.perform(self.supervisor.tick(self.now))

    def perform(self, actions: Iterable[Action]) -> None:
        queue = list(actions)
        while queue:
            action = queue.pop(0)
            if isinstance(action, Report):
                self.reports.append(action)
                continue
            queue += self._do(action)

    def _do(self, action: Start | Stop | Kill) -> list[Action]:
        child = action.id
        self.calls.append(f"{type(action).__name__.lower()} {child}")
        if isinstance(action, Start):
            assert child not in self.running, f"{child} started while it runs"
            if child in self.broken:
                return self.supervisor.handle(Exited(child, "exit code 1"), self.now)
            if child in self.slow:
                return []
            self.running.add(child)
            return self.supervisor.handle(Started(child), self.now)
        if isinstance(action, Stop) and child in self.stubborn:
            return []
        if isinstance(action, Kill):
            self.killed_at[child] = self.now
        self.running.discard(child)
        return self.supervisor.handle(Exited(child, "stopped", Ending.SHUTDOWN), self.now)

    def state(self, child: str) -> str:
        return next(s.state for s in self.supervisor.statuses(self.now) if s.child.id == child)

    def children(self) -> list[str]:
        return [status.child.id for status in self.supervisor.statuses(self.now)]

    def kinds(self) -> list[str]:
        return [report.kind for report in self.reports]


def child(name: str, restart: Restart = Restart.PERMANENT, **more: object) -> Child:
    return Child(id=name, service=name, restart=restart, **more)  # type: ignore[arg-type]


def mesh(strategy: Strategy = Strategy.ONE_FOR_ONE, **more: object) -> Group:
    """The group of otp.md's vectors: planner, researcher, writer, memory."""
    names = ("planner", "researcher", "writer", "memory")
    return Group("mesh", tuple(child(name) for name in names), strategy, **more)  # type: ignore[arg-type]
