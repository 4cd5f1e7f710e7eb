"""`warren publish`: goals from stdin, one a line; each is safe with the broker before its id is printed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

from cyclopts import Parameter

from services.cli.console import print_json, say
from services.cli.options import AsJson, Namespace, Url
from services.cli.outcome import Exit, UsageError, run_async

if TYPE_CHECKING:
    from services.cli.connection import MeshClient
    from shared.contracts.goals import SubmitGoal

IN_FLIGHT = 32
"""Goals whose confirm is awaited at once."""


def publish(
    *,
    corpus: Annotated[tuple[str, ...], Parameter(negative=(), show_default=False)] = (),
    namespace: Namespace = "default",
    engine: str = "auto",
    as_json: AsJson = False,
    url: Url = None,
) -> int:
    """Publish goals from stdin, one a line: plain text, or a JSON goal object. Prints their ids once they are safe.

    Parameters
    ----------
    corpus: Corpora of goals that name none.
    engine: The engine of goals that name none.
    """
    from services.cli.connection import connected

    goals, wrong = parse(sys.stdin, {"corpus": corpus, "namespace": namespace, "engine": engine})
    for line in wrong:
        say(line)

    async def work() -> int:
        async with connected(url) as client:
            ids = await _publish_all(client, goals, echo=not as_json)
        if as_json:
            print_json([{"goal_id": i, "goal": goal.goal} for i, goal in zip(ids, goals, strict=True)])
        return Exit.FAILED if wrong else Exit.DONE

    if not goals:
        raise UsageError("no goals on stdin", hint='one a line: plain text, or a JSON object such as {"goal": "..."}')
    return run_async(work)


def parse(lines: Iterable[str], defaults: dict[str, object]) -> tuple[list[SubmitGoal], list[str]]:
    """The goals, and what is wrong with the lines that are none. Empty lines are passed over."""
    from services.cli.goal_input import goal_of_line

    goals, wrong = [], []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            goals.append(goal_of_line(line, defaults))
        except UsageError as error:
            wrong.append(f"line {number} is not published: {error.reason}")
    return goals, wrong


async def _publish_all(client: MeshClient, goals: list[SubmitGoal], *, echo: bool) -> list[str]:
    """Publishes a portion at a time and waits for its confirms; ids in the order of the goals."""
    ids: list[str] = []
    for at in range(0, len(goals), IN_FLIGHT):
        portion = [(goal, str(uuid4())) for goal in goals[at : at + IN_FLIGHT]]
        await asyncio.gather(*(client.publish(goal, message_id=message_id) for goal, message_id in portion))
        for _, message_id in portion:
            ids.append(client.goal_id(message_id))
            if echo:
                print(ids[-1], flush=True)
    return ids
