"""`warren goals`, `show`, `cancel`, `report`: what the planner knows of goals."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from services.cli.console import ago, duration, one_line, plain, print_json, print_table, say
from services.cli.options import AsJson, Url
from services.cli.outcome import CommandFailed, Exit, run_async

if TYPE_CHECKING:
    from services.cli.connection import MeshClient
    from shared.contracts.goals import GoalEvent, GoalShown, GoalSummary


def goals(*, limit: int = 50, as_json: AsJson = False, url: Url = None) -> int:
    """List goals, newest first.

    Parameters
    ----------
    limit: How many at most.
    """
    from services.cli.connection import connected
    from services.cli.outcome import UsageError
    from shared.contracts.goals import GoalsListed, ListGoals

    if not 1 <= limit <= 1000:
        raise UsageError("--limit is between 1 and 1000")

    async def work() -> int:
        async with connected(url) as client:
            listed = (await client.ask(ListGoals(limit=limit), GoalsListed)).goals
        if as_json:
            print_json(listed)
            return Exit.DONE
        now = datetime.now(UTC)
        rows = [
            (g.goal_id, g.status, f"{g.steps_done}/{g.steps}", ago(g.created_at, now), _goal_and_reason(g))
            for g in listed
        ]
        print_table(("id", "status", "steps", "asked", "goal"), rows, empty="no goals yet: warren ask ...")
        return Exit.DONE

    return run_async(work)


def show(
    goal: str,
    /,
    *,
    trace: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> int:
    """Show one goal, step by step.

    Parameters
    ----------
    goal: Its id, or the beginning of it.
    trace: A line per event: step, worker, attempt, queue wait, model time, tokens.
    """
    from services.cli.connection import connected
    from services.cli.fetch import shown

    async def work() -> int:
        async with connected(url) as client:
            seen = await shown(client, goal)
            events = await stored_events(client, seen.goal.goal_id) if trace else []
        if as_json:
            print_json({**plain(seen), **({"events": plain(events)} if trace else {})})
        elif trace:
            from services.cli.trace import HEADINGS, rows

            print_table(HEADINGS, rows(events), empty="no events")
        else:
            _print_goal(seen)
        return Exit.DONE

    return run_async(work)


def cancel(goal: str, /, *, as_json: AsJson = False, url: Url = None) -> int:
    """Stop a goal.

    Parameters
    ----------
    goal: Its id, or the beginning of it.
    """
    from services.cli.connection import connected
    from services.cli.fetch import shown
    from shared.contracts.goals import CancelGoal
    from shared.contracts.message import Done

    async def work() -> int:
        async with connected(url) as client:
            goal_id = (await shown(client, goal)).goal.goal_id
            done = await client.ask(CancelGoal(goal_id=goal_id), Done)
        if as_json:
            print_json({"goal_id": goal_id, "cancelled": done.count > 0})
        else:
            say(f"{goal_id}: {'cancelled' if done.count else 'it had ended before'}")
        return Exit.DONE

    return run_async(work)


def report(goal: str, /, *, out: Path | None = None, as_json: AsJson = False, url: Url = None) -> int:
    """Fetch the report of a goal again: writes its bundle and prints it.

    Parameters
    ----------
    goal: Its id, or the beginning of it.
    out: Where to write the bundle; default .warren/reports/GOAL-ID.
    """
    from services.cli.connection import connected
    from services.cli.fetch import shown
    from services.cli.mesh import locate
    from services.cli.run_goal import conclude
    from shared.contracts.goals import ENDED

    async def work() -> int:
        mesh = locate(url)
        async with connected(mesh=mesh) as client:
            seen = (await shown(client, goal)).goal
            if seen.status not in ENDED:
                raise CommandFailed(f"not finished yet: {seen.status}", hint=f"warren watch {seen.goal_id}")
            folder = out or mesh.home / "reports" / seen.goal_id
            return await conclude(client, seen.goal_id, folder, to_json=as_json)

    return run_async(work)


async def stored_events(client: MeshClient, goal_id: str) -> list[GoalEvent]:
    """All events of a goal that the planner keeps, oldest first."""
    from shared.contracts.goals import EventsListed, EventsSince

    events: list[GoalEvent] = []
    while True:
        after = events[-1].seq if events else 0
        listed = await client.ask(EventsSince(goal_id=goal_id, after=after), EventsListed)
        if not listed.events:
            return events
        events += listed.events


def _goal_and_reason(goal: GoalSummary) -> str:
    return one_line(goal.goal, 100) + (f"  ({one_line(goal.reason, 200)})" if goal.reason else "")


def _print_goal(seen: GoalShown) -> None:
    from services.cli.tree import MARKS, label

    goal = seen.goal
    took = ((goal.ended_at or datetime.now(UTC)) - goal.created_at).total_seconds()
    print(f"{goal.goal}\n")
    print(f"id       {goal.goal_id}")
    print(f"status   {goal.status}" + (f": {goal.reason}" if goal.reason else ""))
    print(f"engine   {goal.engine or '?'}")
    print(f"took     {duration(took)}, {goal.steps_done} of {goal.steps} steps done\n")
    for step in seen.steps:
        who = f"{step.worker}, " if step.worker else ""
        tried = f"{step.attempts} attempt{'s' if step.attempts != 1 else ''}"
        reason = f": {step.reason}" if step.reason else ""
        print(
            f"{MARKS[step.state]} {label(step.id)}  {one_line(step.question, 80)}  ({who}{tried}, {step.state}{reason})"
        )
    if seen.bundle:
        print(f"\nreport   {len(seen.bundle.citations)} citations: warren report {goal.goal_id}")
