"""`warren demo`: a question about this project's own corpus, answered while its researcher is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from services.cli import compose
from services.cli.children import alive, noted
from services.cli.console import say
from services.cli.mesh import Mesh, keeper_alive, locate
from services.cli.outcome import CommandFailed, Exit, run_async

if TYPE_CHECKING:
    from services.cli.run_goal import GoalRun
    from services.cli.view import Item, View

CORPUS = "warren-demo"
QUESTION = (
    "How do RabbitMQ and Kafka differ in delivery, ordering and replay, "
    "and how are retries and dead letters done safely?"
)
KILLS = 3
"""At most: a kill lands when the researcher dies with a step in hand, and one that does not is tried again."""


def demo(question: str = QUESTION, /, *, timeout: float = 60.0) -> int:
    """Ask about Warren's own corpus, kill the researcher in the middle, get the report all the same.

    Starts the mesh of this folder where none runs, and stops what it started.

    Parameters
    ----------
    question: Another question about infra/corpus.
    timeout: Seconds until the mesh must run, and then until there is a report.
    """
    from services.cli.up import down_process, up_process

    corpus = compose.ROOT / "infra" / "corpus"
    if not corpus.is_dir():
        raise CommandFailed("there is no infra/corpus here", hint="run it in Warren's checkout")
    mesh = locate()
    if _runs_elsewhere(mesh):
        return run_async(lambda: _ask(mesh, corpus, question, timeout_s=timeout))
    signal.signal(signal.SIGTERM, _as_interrupt)
    ran = keeper_alive(mesh.home)
    try:
        up_process(mesh.home, timeout_s=timeout)
        return run_async(lambda: _ask(locate(), corpus, question, timeout_s=timeout))
    finally:
        if ran:
            say("the mesh was running before: it goes on")
        elif keeper_alive(mesh.home):
            down_process(mesh.home)


def _runs_elsewhere(mesh: Mesh) -> bool:
    """A mesh in containers runs, and `up` has written down where: that one is used."""
    from services.cli.handshake import broker_at

    return mesh.mode == "docker" and broker_at(mesh.url).answers


def _as_interrupt(*_: object) -> None:
    raise KeyboardInterrupt


async def _ask(mesh: Mesh, corpus: Path, question: str, *, timeout_s: float) -> int:
    from services.cli.connection import connected
    from services.cli.corpus import send, summary
    from services.cli.run_goal import GoalRun
    from shared.contracts.goals import SubmitGoal

    killer = Killer(_killer(mesh))
    async with connected(mesh=mesh) as client:
        say(summary(await send(client, CORPUS, [corpus])))
        say(f"question: {question}")
        command = SubmitGoal(goal=question, corpus=CORPUS, priority=5)
        run: GoalRun = GoalRun(client, command, reports=mesh.home / "reports", on_item=killer.see)
        code = await run.to_the_end(timeout_s=timeout_s)
    say(killer.told(done=code == Exit.DONE))
    return code


@dataclass
class Killer:
    """Kills whoever holds a research step, once it is seen to work, until a kill has landed. Says only what it saw."""

    kill: Callable[[str], str | None]
    kills: int = 0
    held: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    redelivered: list[str] = field(default_factory=list)

    def see(self, item: Item, view: View) -> None:
        """Looks at everything that happens to the goal."""
        from shared.contracts.goals import GoalEvent, StepProgress

        if isinstance(item, StepProgress) and item.step not in self.seen and item.step != "write":
            self.seen.add(item.step)
            self._strike(item.step, item.worker, view)
        elif isinstance(item, GoalEvent) and item.step:
            if item.event == "step_redelivered" and self.kills:
                self.redelivered.append(item.step)
            elif item.event in {"step_finished", "step_failed"}:
                self.held.discard(item.step)

    def _strike(self, step: str, worker: str, view: View) -> None:
        """Not again while a killed step has neither come back nor finished."""
        from services.cli.tree import label

        if self.redelivered or self.held or self.kills >= KILLS:
            return
        victim = self.kill(worker)
        if victim:
            self.kills += 1
            self.held.add(step)
            view.note(f"{worker} killed by this demo (SIGKILL, {victim}) while it works on {label(step)}")

    def told(self, *, done: bool) -> str:
        """`researcher killed by this demo (SIGKILL) - step 3 redelivered - report complete`, as it was."""
        from services.cli.tree import label

        end = "report complete" if done else "no report"
        if not self.kills:
            return f"no researcher could be killed by this demo - {end}"
        again = ", ".join(dict.fromkeys(label(step) for step in self.redelivered))
        times = "" if self.kills == 1 else f" {self.kills} times"
        return (
            f"researcher killed by this demo (SIGKILL){times} - "
            f"{f'{again} redelivered' if again else 'it had just finished its step, nothing was redelivered'} - {end}"
        )


def _killer(mesh: Mesh) -> Callable[[str], str | None]:
    """Kills a worker by its name; the answer says what was killed, None that nothing was."""

    def by_pid(worker: str) -> str | None:
        pid = next((row.get("pid") for row in noted(mesh.home) if row.get("instance") == worker), None)
        if not isinstance(pid, int) or not alive(pid):
            return None
        os.kill(pid, signal.SIGKILL)
        return f"pid {pid}"

    def by_container(worker: str) -> str | None:
        containers = compose.output("ps", "--quiet", "researcher").split()
        if not containers:
            return None
        compose.kill(containers[0])
        return f"container {containers[0][:12]}"

    return by_container if mesh.mode == "docker" else by_pid
