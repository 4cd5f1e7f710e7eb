"""`show --trace`, pure: a line per event, with what can be told of waiting, model time and tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from services.cli.console import duration, one_line
from services.cli.tree import engine_text, outcome_text, planned
from shared.contracts.goals import GoalEvent

HEADINGS = ("seq", "at", "event", "step", "worker", "attempt", "waited", "model", "tokens", "detail")


def rows(events: Sequence[GoalEvent]) -> list[tuple[object, ...]]:
    """One row per event, in order. Times are since the first event."""
    sent: dict[str, datetime] = {}
    attempts: dict[str, int] = {}
    lines: list[tuple[object, ...]] = []
    for event in events:
        step = event.step or ""
        if event.event == "step_dispatched":
            sent[step] = event.at
            attempts[step] = attempts.get(step, 0) + 1
        if event.event == "step_redelivered":
            attempts[step] = attempts.get(step, 0) + 1
        lines.append(
            (
                event.seq,
                f"+{(event.at - events[0].at).total_seconds():.3f}",
                event.event,
                step,
                event.worker,
                event.data.get("attempt") or (attempts.get(step) if step else None),
                _waited(event, sent.get(step)),
                _seconds(_usage(event.data).get("model_s")),
                _tokens(_usage(event.data)),
                _detail(event),
            )
        )
    return lines


def _usage(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where a finished step says what it cost: in `usage`, or beside everything else."""
    usage = data.get("usage")
    return usage if isinstance(usage, dict) else data


def _waited(event: GoalEvent, sent: datetime | None) -> str | None:
    """How long the step waited for a worker: as the event says it, or from dispatch to claim."""
    if (told := _seconds(event.data.get("waited_s"))) is not None:
        return told
    if event.event == "step_redelivered" and sent:
        return _seconds((event.at - sent).total_seconds())
    return None


def _seconds(value: object) -> str | None:
    return duration(float(value)) if isinstance(value, int | float) else None


def _tokens(usage: Mapping[str, Any]) -> str | None:
    """`120+43`: in and out."""
    if not isinstance(usage.get("tokens_in"), int) or not isinstance(usage.get("tokens_out"), int):
        return None
    return f"{usage['tokens_in']}+{usage['tokens_out']}"


def _detail(event: GoalEvent) -> str:
    if event.event == "engine_chosen":
        return engine_text(event.data)
    if event.event == "plan_made":
        return f"{len(planned(event.data))} steps"
    return one_line(outcome_text(event.data), 200)
