"""`warren ask`: a goal becomes a cited report. Add what it is about, submit, watch, fetch, verify, print."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from services.cli.console import print_json, say
from services.cli.options import AsJson, Namespace, Url
from services.cli.outcome import Exit, UsageError, run_async

if TYPE_CHECKING:
    from services.cli.connection import MeshClient
    from shared.contracts.goals import SubmitGoal


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class AskOptions:
    """What may be said about a goal besides the goal."""

    corpus: Annotated[
        tuple[str, ...],
        Parameter(negative=(), show_default=False, help="A corpus by NAME, or a PATH that is added first."),
    ] = ()
    namespace: Namespace = "default"
    priority: Annotated[int, Parameter(help="0 to 9, higher is sooner.")] = 5
    deadline: Annotated[float | None, Parameter(help="Seconds that the mesh may take.")] = None
    max_tokens: Annotated[int | None, Parameter(help="Tokens of models that it may cost.")] = None
    max_seconds: Annotated[float | None, Parameter(help="Seconds of model time that it may cost.")] = None
    max_steps: Annotated[int, Parameter(help="Steps of the plan at most.")] = 12
    engine: Annotated[str, Parameter(help="auto, extractive, or PROVIDER/MODEL: then never another one.")] = "auto"
    sensitivity: Annotated[str, Parameter(help="public, internal, or restricted: then local models only.")] = "internal"
    dry_run: Annotated[
        bool, Parameter(negative=(), show_default=False, help="Print the plan and what it would cost, no more.")
    ] = False
    as_json: AsJson = False
    out: Annotated[Path | None, Parameter(help="Where to write the bundle [default: .warren/reports/GOAL-ID].")] = None
    timeout: Annotated[float | None, Parameter(help="Seconds to wait for the report; the goal goes on.")] = None
    url: Url = None


def ask(goal: str, /, *, options: AskOptions | None = None) -> int:
    """Ask a question of your documents and get a report in which every citation holds.

    Parameters
    ----------
    goal: The question or task.
    """
    chosen = options or AskOptions()
    if not goal.strip():
        raise UsageError("the goal is empty")
    return run_async(lambda: _ask(goal, chosen))


async def _ask(goal: str, options: AskOptions) -> int:
    from services.cli.connection import connected
    from services.cli.corpus import resolve
    from services.cli.mesh import locate
    from services.cli.run_goal import GoalRun

    _goal(goal, options, ())  # a wrong option is told before documents travel
    mesh = locate(options.url)
    async with connected(mesh=mesh) as client:
        corpora = await resolve(client, options.corpus)
        if not corpora:
            say("no --corpus: only earlier findings of this namespace can be cited")
        command = _goal(goal, options, corpora)
        if options.dry_run:
            return await _preview(client, command, as_json=options.as_json)
        run = GoalRun(client, command, reports=mesh.home / "reports", out=options.out)
        return await run.to_the_end(timeout_s=options.timeout, as_json=options.as_json)


def _goal(goal: str, options: AskOptions, corpora: tuple[str, ...]) -> SubmitGoal:
    from services.cli.goal_input import goal_of

    budget = {"tokens": options.max_tokens, "seconds": options.max_seconds}
    return goal_of(
        {
            "goal": goal,
            "corpus": corpora,
            "namespace": options.namespace,
            "priority": options.priority,
            "deadline_s": options.deadline,
            "max_steps": options.max_steps,
            "engine": options.engine,
            "sensitivity": options.sensitivity,
            "budget": budget if any(limit is not None for limit in budget.values()) else None,
        }
    )


async def _preview(client: MeshClient, command: SubmitGoal, *, as_json: bool) -> int:
    """Prints the plan, and the most model calls that it can cost."""
    from services.cli.tree import label
    from shared.contracts.goals import GoalPreviewed, PreviewGoal

    preview = await client.ask(PreviewGoal(goal=command), GoalPreviewed, deadline_s=30)
    if as_json:
        print_json(preview)
        return Exit.DONE
    print(f"plan: {len(preview.steps)} steps, then the report; at most {preview.model_calls} model calls")
    for step in preview.steps:
        after = f"  (after {', '.join(label(name) for name in step.depends_on)})" if step.depends_on else ""
        agent = "" if step.agent == "researcher" else f" [{step.agent}]"
        print(f"  {label(step.id)}{agent}: {step.question}{after}")
    print(f"engine: {preview.engine}" + (f" - {preview.engine_reason}" if preview.engine_reason else ""))
    return Exit.DONE
