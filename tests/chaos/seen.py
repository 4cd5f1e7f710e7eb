"""What can be seen of the mesh from outside, by its events: who works on what, and who spoke when. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PLANNER_BUSY_S = 0.1
"""An event is published from the planner's outbox right after its commit: so long it is in the middle of things."""
MEMORY_BUSY_S = 0.25
"""A claimed step searches at once, a goal that was admitted opens its corpora, a writer reads its quotes."""
_ENDS = {"goal_completed", "goal_failed", "goal_cancelled"}
_BEGINS = {"step_claimed", "step_redelivered"}
_SEARCHES = {*_BEGINS, "planning_started", "writing_started"}


@dataclass
class Seen:
    """`began`: worker -> when it last took up a step. Times in seconds since the epoch, as we heard of them."""

    working: dict[tuple[str, str], str] = field(default_factory=dict)
    open_goals: set[str] = field(default_factory=set)
    began: dict[str, float] = field(default_factory=dict)
    heard: dict[str, float] = field(default_factory=dict)
    """Goal -> the highest number of its events so far. One that is told again, late, makes no step begin anew."""
    planner_at: float = 0.0
    memory_at: float = 0.0
    ended: int = 0

    def hear(self, event: Mapping[str, Any], now: float) -> None:
        """A goal_event.v1. Twice is harmless, and so is one that others have overtaken."""
        name, goal, step, worker = (str(event.get(key) or "") for key in ("event", "goal_id", "step", "worker"))
        self.planner_at = now
        before, number = self.heard.get(goal, 0.0), float(event.get("seq", 0))
        late = number <= before
        self.heard[goal] = max(before, number)
        if name in _SEARCHES:
            self.memory_at = now
        if name in _ENDS:
            self.ended += goal in self.open_goals
            self.answered(goal)
        elif name == "planning_started":
            self.open_goals |= {goal} if not late else set()
        elif name in _BEGINS and not late:
            self.working[goal, step] = worker
            self.began[worker] = now
        elif name in ("step_finished", "step_failed"):
            self.working.pop((goal, step), None)

    def answered(self, goal: str) -> None:
        """Its end, as the one who asked was told: that is never missed, while an event may be."""
        self.heard[goal] = float("inf")
        self.open_goals.discard(goal)
        self.working = {key: who for key, who in self.working.items() if key[0] != goal}

    def holds(self, service: str, *, instance: str, calls: int, now: float) -> str | None:
        """What this service holds now, in words, or None. `calls`: open at the model server."""
        if service in ("researcher", "writer"):
            held = [key for key, who in self.working.items() if who.startswith(instance)]
            return f"{instance} at step {held[0][1]} of {held[0][0][:8]}" if held else None
        if service == "inference":
            return f"{calls} open model calls" if calls else None
        busy = {"planner": (self.planner_at, PLANNER_BUSY_S), "memory": (self.memory_at, MEMORY_BUSY_S)}
        if service in busy and now - busy[service][0] > busy[service][1]:
            return None
        return f"{len(self.open_goals)} goals in flight" if self.open_goals else None
