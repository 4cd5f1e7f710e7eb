"""`warren watch`: follow a goal that runs, or read again how one went."""

from __future__ import annotations

import json as json_module
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from services.cli.options import AsJson, Url
from services.cli.outcome import UsageError, run_async

if TYPE_CHECKING:
    from services.cli.follow import Follower


def watch(
    goal: str,
    /,
    *,
    since: Annotated[int, Parameter(name="--from")] = 1,
    tokens: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> int:
    """Watch a goal until it ends: nothing missed, nothing twice. Leaving does not stop it.

    Parameters
    ----------
    goal: Its id, or the beginning of it.
    since: The sequence number of the first event to show.
    tokens: Print what the models write, as they write it, instead of what happens.
    """
    from services.cli.connection import connected
    from services.cli.fetch import shown
    from services.cli.follow import following
    from services.cli.run_goal import code_of
    from services.cli.run_goal import watch as show_until_end
    from services.cli.tree import GoalTree
    from services.cli.view import view_for
    from services.cli.writing import show_text

    if since < 1:
        raise UsageError("--from counts from 1")
    if tokens and as_json:
        raise UsageError("--tokens prints text, --json events: one of them")

    async def work() -> int:
        async with connected(url) as client:
            seen = (await shown(client, goal)).goal
            async with following(client, seen.goal_id, after=since - 1) as follower:
                if tokens:
                    await show_text(client, follower)
                elif as_json:
                    await _print_events(follower)
                else:
                    await show_until_end(follower, view_for(GoalTree(seen.goal, seen.goal_id)))
            return code_of(await shown(client, seen.goal_id))

    return run_async(work)


async def _print_events(follower: Follower) -> None:
    """One JSON object a line, as they come."""
    from services.cli.console import plain
    from shared.contracts.goals import GoalEvent

    async for item in follower:
        if isinstance(item, GoalEvent):
            print(json_module.dumps(plain(item), ensure_ascii=False), flush=True)
