"""`warren retry`: an ended goal runs again from a step, and is followed to its report like `ask`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from services.cli.console import print_json, say
from services.cli.options import AsJson, Url
from services.cli.outcome import Exit, run_async

if TYPE_CHECKING:
    from services.cli.connection import MeshClient
    from shared.contracts.redrive import RetryGoal


def retry(
    goal: str,
    /,
    *,
    from_step: Annotated[str | None, Parameter(name="--from", help="Begin with this step: s2, write.")] = None,
    engine: Annotated[str | None, Parameter(help="From now on with this engine.")] = None,
    as_json: AsJson = False,
    out: Annotated[Path | None, Parameter(help="Where to write the bundle [default: .warren/reports/GOAL-ID].")] = None,
    timeout: Annotated[float | None, Parameter(help="Seconds to wait for the report; the goal goes on.")] = None,
    url: Url = None,
) -> int:
    """Run a goal that has ended again, from the first step that failed; results that stand are kept.

    Parameters
    ----------
    goal: Its id, or the beginning of it.
    """
    from services.cli.checked import checked
    from services.cli.connection import connected
    from services.cli.fetch import shown
    from services.cli.mesh import locate
    from shared.contracts.redrive import RetryGoal

    checked(RetryGoal, goal_id=goal, from_step=from_step, engine=engine)

    async def work() -> int:
        mesh = locate(url)
        async with connected(mesh=mesh) as client:
            goal_id = (await shown(client, goal)).goal.goal_id
            command = RetryGoal(goal_id=goal_id, from_step=from_step, engine=engine)
            folder = out or mesh.home / "reports" / goal_id
            return await _again(client, command, folder, timeout_s=timeout, as_json=as_json)

    return run_async(work)


async def _again(
    client: MeshClient, command: RetryGoal, folder: Path, *, timeout_s: float | None, as_json: bool
) -> int:
    from services.cli.fetch import shown
    from services.cli.run_goal import code_of, conclude

    try:
        async with asyncio.timeout(timeout_s):
            await _to_the_end(client, command)
    except TimeoutError:
        say(f"no report within {timeout_s:g} s. The goal goes on: warren watch {command.goal_id}")
        return Exit.TIMED_OUT
    goal = await shown(client, command.goal_id)
    if goal.goal.status == "done" or goal.bundle is None or goal.bundle.status == goal.goal.status:
        return await conclude(client, command.goal_id, folder, to_json=as_json)
    if as_json:  # the report is the one of an earlier run
        print_json({"goal_id": command.goal_id, "status": goal.goal.status, "reason": goal.goal.reason})
    say(f"{goal.goal.status}: {goal.goal.reason or 'no reason was given'}")
    say(f"the earlier report stays: warren report {command.goal_id}")
    return code_of(goal)


async def _to_the_end(client: MeshClient, command: RetryGoal) -> None:
    from services.cli.fetch import shown
    from services.cli.follow import following
    from services.cli.goals import stored_events
    from services.cli.run_goal import watch
    from services.cli.tree import GoalTree
    from services.cli.view import view_for
    from shared.contracts.message import Done

    before = await stored_events(client, command.goal_id)
    tree = GoalTree((await shown(client, command.goal_id)).goal.goal, command.goal_id)
    for event in before:
        tree.apply(event)
    tree.since = None  # the time that is shown is this run's
    async with following(client, command.goal_id, after=before[-1].seq if before else 0) as follower:
        await client.ask(command, Done, deadline_s=30)
        say(f"goal {command.goal_id}")
        await watch(follower, view_for(tree))
