"""The live tree, pure: events in, lines out. `view.py` draws them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.cli.console import duration, one_line
from shared.contracts.goals import GoalEvent, StepProgress

MARKS = {"waiting": "·", "ready": "·", "sent": "○", "running": "●", "done": "✓", "failed": "✗", "dropped": "-"}
STATUS_AFTER = {
    "goal_accepted": "accepted",
    "goal_retried": "accepted",
    "planning_started": "planning",
    "plan_made": "researching",
    "writing_started": "writing",
    "goal_completed": "done",
    "goal_failed": "failed",
    "goal_cancelled": "cancelled",
}
STATE_AFTER = {
    "step_dispatched": "sent",
    "step_claimed": "running",
    "step_redelivered": "running",
    "step_finished": "done",
    "step_failed": "failed",
}


@dataclass
class StepLine:
    """One step as the tree shows it."""

    id: str
    question: str = ""
    state: str = "waiting"
    worker: str | None = None
    text: str = ""
    since: datetime | None = None
    redelivered: int = 0


@dataclass
class GoalTree:
    """A goal as far as its events have told. `apply` and `progress` change it; nothing else does."""

    goal: str
    goal_id: str
    status: str = "waiting for the planner"
    engine: str | None = None
    reason: str | None = None
    since: datetime | None = None
    steps: dict[str, StepLine] = field(default_factory=dict)
    bottleneck: str | None = None
    """What holds it up, as of the last look."""

    def apply(self, event: GoalEvent) -> None:
        """Takes in one stored event."""
        self.since = self.since or event.at
        self.status = STATUS_AFTER.get(event.event, self.status)
        if event.event == "goal_retried":
            self._begin_again(event.data)
        if event.event == "engine_chosen":
            self.engine = engine_text(event.data)
        if event.event == "plan_made":
            for spec in planned(event.data):
                self.step(spec["id"]).question = spec.get("question", "")
        if event.event in {"goal_failed", "goal_cancelled"}:
            self.reason = _text(event.data.get("reason"))
        if event.step and event.event in STATE_AFTER:
            self._step_changed(self.step(event.step), event)

    def _begin_again(self, data: Mapping[str, Any]) -> None:
        """Steps that are done again wait again; the others keep what they have."""
        self.reason = None
        steps = data.get("again")
        for step_id in steps if isinstance(steps, list) else []:
            self.steps[str(step_id)] = StepLine(str(step_id), self.step(str(step_id)).question)

    def _step_changed(self, step: StepLine, event: GoalEvent) -> None:
        step.state = STATE_AFTER[event.event]
        step.worker = event.worker or step.worker
        step.redelivered += event.event == "step_redelivered"
        if event.event != "step_claimed":  # what its worker said of itself may have come before
            step.text = outcome_text(event.data) if step.state in {"done", "failed"} else ""
        if step.since is None or step.state in {"sent", "running"}:
            step.since = event.at
        step.question = step.question or _text(event.data.get("question")) or ""

    def progress(self, news: StepProgress) -> None:
        """Takes in a sign of life."""
        step = self.step(news.step)
        if step.state not in {"done", "failed"}:
            step.state, step.worker, step.text = "running", news.worker, news.text

    def step(self, step_id: str) -> StepLine:
        return self.steps.setdefault(step_id, StepLine(step_id))

    def head(self, now: datetime) -> str:
        """One line about the whole."""
        done = sum(step.state == "done" for step in self.steps.values())
        of = f", {done}/{len(self.steps)} steps" if self.steps else ""
        time = f", {duration((now - self.since).total_seconds())}" if self.since else ""
        return f"{self.status}{of}{time}"

    def sign_of_life(self, now: datetime) -> str:
        """What is going on right now, in one line."""
        running = [step for step in self.steps.values() if step.state == "running"]
        said = [f"{label(s.id)}: {s.text or 'working'}" for s in running][:3]
        return "; ".join([self.head(now), *said, *([self.bottleneck] if self.bottleneck else [])])

    def lines(self, now: datetime) -> list[str]:
        """The tree, one step a line."""
        return [step_line(step, now) for step in self.steps.values()]


def step_line(step: StepLine, now: datetime) -> str:
    """`● step 3  How fast is Y?  researcher-2: reading 12 passages, 4.0 s  (redelivered)`."""
    parts = [f"{MARKS.get(step.state, '?')} {label(step.id)}"]
    if step.question:
        parts.append(one_line(step.question, 48 if step.state == "running" else 90))
    if step.state == "running":
        passed = f", {duration((now - step.since).total_seconds())}" if step.since else ""
        parts.append(f"{step.worker or 'a worker'}: {step.text or 'working'}{passed}")
    elif step.text:
        parts.append(step.text)
    if step.redelivered:
        parts.append("(redelivered)" if step.redelivered == 1 else f"(redelivered {step.redelivered} times)")
    return "  ".join(parts)


def line_for(event: GoalEvent) -> str | None:
    """What a plain log says of an event; None: not worth a line there."""
    text = _WORDS.get(event.event, event.event.replace("_", " "))
    if event.event == "engine_chosen":
        return f"engine: {engine_text(event.data)}"
    if event.event == "goal_retried":
        return f"run {event.data.get('run')} begins with {label(_text(event.data.get('from')))}"
    if event.event == "plan_made":
        steps = [f"  {label(s['id'])}: {one_line(s.get('question', ''), 100)}" for s in planned(event.data)]
        return "\n".join([f"plan: {len(steps)} steps" if steps else "plan made", *steps])
    parts = [label(event.step)] if event.step else []
    parts.append(text)
    if event.worker:
        parts.append(f"by {event.worker}")
    detail = _text(event.data.get("reason")) or (outcome_text(event.data) if event.event == "step_finished" else "")
    return " ".join(parts) + (f": {detail}" if detail else "")


_WORDS = {
    "goal_accepted": "goal accepted",
    "planning_started": "planning",
    "step_dispatched": "sent",
    "step_claimed": "taken",
    "step_finished": "done",
    "step_failed": "failed",
    "step_redelivered": "redelivered",
    "writing_started": "writing the report",
    "goal_completed": "report complete",
}


def label(step_id: str | None) -> str:
    """`s3` and `3` are "step 3" for people, the planner's own last step is the report; other names stay."""
    if step_id == "write":
        return "report"
    number = re.fullmatch(r"s?(\d+)", step_id or "")
    return f"step {number[1]}" if number else f"step {step_id}"


def engine_text(data: Mapping[str, Any]) -> str:
    """`extractive - no model: ...`"""
    reason = _text(data.get("engine_reason")) or _text(data.get("reason"))
    return f"{data.get('engine') or '?'}" + (f" - {reason}" if reason else "")


def outcome_text(data: Mapping[str, Any]) -> str:
    """`3 findings, 4 quotes, 1.2 s` of a finished step, as far as the event says it."""
    parts = []
    for key, word in (("findings", "findings"), ("evidence", "quotes"), ("citations", "citations")):
        value = data.get(key)
        count = len(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
        if isinstance(count, int) and not isinstance(count, bool) and count:
            parts.append(f"{count} {word if count != 1 else word[:-1]}")
    seconds, reason = data.get("seconds"), _text(data.get("reason"))
    if isinstance(seconds, int | float):
        parts.append(duration(seconds))
    return ", ".join([*parts, *([reason] if reason else [])])


def planned(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The steps that a `plan_made` event lists."""
    steps = data.get("steps")
    return [s for s in steps if isinstance(s, dict) and "id" in s] if isinstance(steps, list) else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
