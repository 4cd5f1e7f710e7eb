"""One goal from its submission to the printed report, as `ask` and the demo run it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from services.cli.bottleneck import keep_looking
from services.cli.bundle import Bundle, as_json, bundle_of_nothing
from services.cli.check import check
from services.cli.connection import MeshClient
from services.cli.console import lively, print_json, rich_console, say
from services.cli.fetch import save_bundle, shown
from services.cli.follow import Follower, following
from services.cli.outcome import Exit
from services.cli.tree import GoalTree
from services.cli.view import Item, View, view_for
from shared.contracts.goals import CancelGoal, GoalShown, SubmitGoal
from shared.contracts.message import Done
from shared.errors import WarrenError

Watcher = Callable[[Item, View], None]


@dataclass
class GoalRun:
    """`reports`: the folder of bundles, `out`: this one's own folder. `on_item` sees everything that is shown."""

    client: MeshClient
    command: SubmitGoal
    reports: Path
    out: Path | None = None
    on_item: Watcher | None = None
    message_id: str = field(default_factory=lambda: str(uuid4()))
    _left: bool = False

    @property
    def goal_id(self) -> str:
        """Known before the goal is published: the watch begins first."""
        return self.client.goal_id(self.message_id)

    async def to_the_end(self, *, timeout_s: float | None = None, as_json: bool = False) -> int:
        """Submits, shows, fetches, verifies, prints. Returns the exit code."""
        say(f"goal {self.goal_id}")
        try:
            async with asyncio.timeout(timeout_s):
                await self._submit_and_watch()
        except TimeoutError:
            say(f"no report within {timeout_s:g} s. The goal goes on: warren watch {self.goal_id}")
            return Exit.TIMED_OUT
        except asyncio.CancelledError:
            if not self._left:
                raise
            say(f"left before the planner had confirmed: warren show {self.goal_id}")
            return Exit.CANCELLED
        return await conclude(self.client, self.goal_id, self.out or self.reports / self.goal_id, to_json=as_json)

    async def _submit_and_watch(self) -> None:
        tree = GoalTree(self.command.goal, self.goal_id)
        async with following(self.client, self.goal_id) as follower, self._interruptible():
            await self.client.publish(self.command, message_id=self.message_id)
            await watch(follower, view_for(tree), self.on_item)

    @contextlib.asynccontextmanager
    async def _interruptible(self) -> AsyncIterator[None]:
        """Ctrl-C asks the planner to cancel the goal; a second one leaves at once."""
        loop, running = asyncio.get_running_loop(), asyncio.current_task()
        asking: list[asyncio.Task[None]] = []

        def interrupted() -> None:
            if asking and running:
                self._left = True
                running.cancel()
                return
            say("cancelling the goal (Ctrl-C again leaves at once) ...")
            asking.append(loop.create_task(self._cancel()))

        try:
            loop.add_signal_handler(signal.SIGINT, interrupted)
        except (ValueError, RuntimeError, NotImplementedError):  # not the main thread: its owner handles Ctrl-C
            yield
            return
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            for task in asking:
                task.cancel()

    async def _cancel(self) -> None:
        try:
            await self.client.ask(CancelGoal(goal_id=self.goal_id, reason="cancelled with Ctrl-C"), Done, deadline_s=30)
        except WarrenError as error:
            say(f"the goal could not be cancelled: {error.reason}")


async def watch(follower: Follower, view: View, on_item: Watcher | None = None) -> None:
    """Shows a goal until it ends, and what holds it up."""

    def tell(found: str | None) -> None:
        view.tree.bottleneck = found

    looking = asyncio.create_task(keep_looking(follower.client, tell))
    try:
        with view:
            async for item in follower:
                view.show(item)
                if on_item:
                    on_item(item, view)
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


async def conclude(client: MeshClient, goal_id: str, folder: Path, *, to_json: bool) -> int:
    """Fetches the report of an ended goal, writes and checks the bundle, prints it. Returns the exit code."""
    goal = await shown(client, goal_id)
    code = code_of(goal)
    why = f"{goal.goal.status}: {goal.goal.reason or 'no reason was given'}"
    if goal.bundle is None:
        if to_json:
            print_json({**as_json(bundle_of_nothing(goal.goal)), "reason": goal.goal.reason})
        say(why)
        return code
    bundle = await save_bundle(client, goal.bundle, folder)
    if to_json:
        print_json(as_json(bundle.report))
    else:
        print_report(bundle.report.report)
    held = _told(bundle, folder)
    if code:
        say(f"{why}; the report is a partial one")
    return code if held else (code or Exit.FAILED)


def code_of(goal: GoalShown) -> Exit:
    """The exit code that the end of this goal means."""
    summary = goal.goal
    if summary.status == "failed" and "its deadline" in (summary.reason or ""):
        return Exit.TIMED_OUT
    return {"done": Exit.DONE, "cancelled": Exit.CANCELLED}.get(summary.status, Exit.FAILED)


def print_report(markdown: str) -> None:
    """On a terminal as it is meant to look; anywhere else as it is."""
    if not lively(sys.stdout):
        print(markdown)
        return
    from rich.markdown import Markdown

    rich_console(sys.stdout).print(Markdown(markdown))


def _told(bundle: Bundle, folder: Path) -> bool:
    """Says what was saved, with which engine, and whether it holds: that is checked here, not taken on trust."""
    report, checked = bundle.report, check(bundle)
    say(f"\nengine: {report.engine or '?'}" + (f" - {report.engine_reason}" if report.engine_reason else ""))
    if checked.citations:
        say(f"{checked.verified} of {checked.citations} citations verified against {len(bundle.texts)} stored texts")
    else:
        say("the report cites nothing: no source supports an answer")
    for problem in checked.problems:
        say(f"does NOT hold: {problem}")
    say(f"saved: {folder}")
    return checked.holds
