"""`warren retry`: an ended goal runs again from a step, and is followed to its report like `ask`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from services.cli.console import print_json, say
from services.cli.options import AsJson, Url
from services.cli.outcome import Exit, run_async

if TYPE_CHECKING:
    from services.cli.connection import MeshClient
    from shared.contracts.redrive import RetryGoal


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RetryOptions:
    """From where it runs again, and what is other than before."""

    from_step: Annotated[str | None, Parameter(name="--from", help="Begin with this step: s2, write.")] = None
    engine: Annotated[str | None, Parameter(help="From now on with this engine.")] = None
    fresh: Annotated[
        bool, Parameter(negative=(), show_default=False, help="Make all model calls anew, those paid for as well.")
    ] = False
    deadline: Annotated[float | None, Parameter(help="Seconds that the mesh may take.")] = None
    max_tokens: Annotated[int | None, Parameter(help="Tokens of models that it may cost.")] = None
    max_seconds: Annotated[float | None, Parameter(help="Seconds of model time that it may cost.")] = None
    as_json: AsJson = False
    out: Annotated[Path | None, Parameter(help="Where to write the bundle [default: .warren/reports/GOAL-ID].")] = None
    timeout: Annotated[float | None, Parameter(help="Seconds to wait for the report; the goal goes on.")] = None
    url: Url = None


def retry(goal: str, /, *, options: RetryOptions | None = None) -> int:
    """Run a goal that has ended again, from the first step that failed; results that stand are kept.

    Parameters
    ----------
    goal: Its id, or the beginning of it.
    """
    from services.cli.connection import connected
    from services.cli.fetch import shown
    from services.cli.mesh import locate

    chosen = options or RetryOptions()
    _command(goal, chosen)  # a wrong option is told before anything is asked

    async def work() -> int:
        mesh = locate(chosen.url)
        async with connected(mesh=mesh) as client:
            goal_id = (await shown(client, goal)).goal.goal_id
            folder = chosen.out or mesh.home / "reports" / goal_id
            command = _command(goal_id, chosen)
            return await _again(client, command, folder, timeout_s=chosen.timeout, as_json=chosen.as_json)

    return run_async(work)


def _command(goal_id: str, options: RetryOptions) -> RetryGoal:
    from services.cli.checked import checked
    from shared.contracts.redrive import RetryGoal

    budget = {"tokens": options.max_tokens, "seconds": options.max_seconds}
    return checked(
        RetryGoal,
        goal_id=goal_id,
        from_step=options.from_step,
        engine=options.engine,
        budget=budget if any(limit is not None for limit in budget.values()) else None,
        deadline_s=options.deadline,
        fresh=options.fresh,
    )


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
