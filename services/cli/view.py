"""Draws a goal while it runs: a live tree on a terminal, plain lines anywhere else. Always on stderr."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from services.cli.console import lively, one_line, rich_console, say
from services.cli.follow import Quiet
from services.cli.tree import GoalTree, line_for
from shared.contracts.goals import GoalEvent, StepProgress

if TYPE_CHECKING:
    from rich.console import RenderableType

Item = GoalEvent | StepProgress | Quiet


class View(Protocol):
    """A context manager that shows what happens to `tree`."""

    tree: GoalTree

    def show(self, item: Item) -> None: ...

    def note(self, text: str) -> None: ...

    def __enter__(self) -> View: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def view_for(tree: GoalTree, *, quiet: bool = False) -> View:
    """The view that suits this stderr. `quiet`: only signs of life and notes, one a line."""
    return LiveView(tree) if lively(sys.stderr) and not quiet else PlainView(tree)


class PlainView:
    """A line per event, and one every two seconds of silence."""

    def __init__(self, tree: GoalTree) -> None:
        self.tree = tree
        self._last = datetime.now(UTC)

    def show(self, item: Item) -> None:
        now = datetime.now(UTC)
        if isinstance(item, GoalEvent):
            self.tree.apply(item)
            if line := line_for(item):
                self.note(line)
            return
        if isinstance(item, StepProgress):
            self.tree.progress(item)
        if (now - self._last).total_seconds() >= 1.9:
            self.note(self.tree.sign_of_life(now))

    def note(self, text: str) -> None:
        self._last = datetime.now(UTC)
        say(text)

    def __enter__(self) -> PlainView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class LiveView:
    """The tree, redrawn four times a second; what must stay is printed above it."""

    def __init__(self, tree: GoalTree) -> None:
        from rich.live import Live

        self.tree = tree
        self._console = rich_console(sys.stderr)
        self._live = Live(get_renderable=self._draw, console=self._console, refresh_per_second=4, transient=False)

    def show(self, item: Item) -> None:
        if isinstance(item, GoalEvent):
            self.tree.apply(item)
            if item.event == "step_redelivered" or item.event == "message_parked":
                self.note(line_for(item) or "")
        elif isinstance(item, StepProgress):
            self.tree.progress(item)

    def note(self, text: str) -> None:
        from rich.text import Text

        self._console.print(Text(text, style="yellow"))

    def _draw(self) -> RenderableType:
        from rich.spinner import Spinner
        from rich.text import Text
        from rich.tree import Tree

        now = datetime.now(UTC)
        over = self.tree.status in {"done", "failed", "cancelled"}
        head: RenderableType = Text(self.tree.head(now), style="bold")
        root = Tree(head if over else Spinner("dots", text=self.tree.head(now)), guide_style="dim")
        if self.tree.engine:
            root.add(Text(f"engine: {one_line(self.tree.engine, 200)}", style="dim"))
        for step, line in zip(self.tree.steps.values(), self.tree.lines(now), strict=True):
            root.add(Text(line, style=_STYLES.get(step.state, ""), overflow="ellipsis", no_wrap=True))
        if self.tree.bottleneck and not over:
            root.add(Text(self.tree.bottleneck, style="yellow"))
        return root

    def __enter__(self) -> LiveView:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()


_STYLES = {"waiting": "dim", "ready": "dim", "running": "cyan", "done": "green", "failed": "red", "dropped": "dim"}
