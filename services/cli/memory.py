"""`warren memory`: the findings of finished goals."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from services.cli.console import ago, one_line, print_json, print_table, say
from services.cli.options import AsJson, Namespace, Url
from services.cli.outcome import Exit, UsageError, run_async

if TYPE_CHECKING:
    from shared.contracts.findings import ListFindings, Recall

HELP = "List, search and forget the findings of finished goals."


def list_(*, namespace: Namespace = "default", limit: int = 50, as_json: AsJson = False, url: Url = None) -> int:
    """List the newest findings of a namespace.

    Parameters
    ----------
    limit: How many at most.
    """
    from services.cli.checked import checked
    from shared.contracts.findings import ListFindings

    command = checked(ListFindings, namespace=namespace, limit=limit)
    return run_async(lambda: _print_findings(command, as_json=as_json, url=url))


def recall(
    query: str,
    /,
    *,
    corpus: Annotated[tuple[str, ...], Parameter(negative=(), show_default=False)] = (),
    namespace: Namespace = "default",
    limit: int = 5,
    as_json: AsJson = False,
    url: Url = None,
) -> int:
    """Recall what earlier goals found about something, best first.

    Parameters
    ----------
    query: Words, no syntax.
    corpus: Only what was found in these corpora [default: all there are].
    limit: How many at most.
    """
    from services.cli.checked import checked
    from shared.contracts.findings import Recall

    command = checked(Recall, query=query, corpora=corpus, namespace=namespace, limit=limit)
    return run_async(lambda: _print_findings(command, as_json=as_json, url=url))


def forget(
    finding: str | None = None,
    /,
    *,
    goal: str | None = None,
    everything: Annotated[bool, Parameter(name="--all", negative=(), show_default=False)] = False,
    namespace: Namespace = "default",
    as_json: AsJson = False,
    url: Url = None,
) -> int:
    """Forget one finding, the findings of one goal, or all of a namespace.

    Parameters
    ----------
    finding: The id of one finding.
    goal: All findings of the goal with this id.
    everything: All findings of the namespace.
    """
    from services.cli.checked import checked
    from services.cli.connection import connected
    from shared.contracts.findings import Forget
    from shared.contracts.message import Done

    if [finding is not None, goal is not None, everything].count(True) != 1:
        raise UsageError("name one finding, or --goal ID, or --all")
    command = checked(Forget, namespace=namespace, finding_id=finding, goal_id=goal, everything=everything)

    async def work() -> int:
        async with connected(url) as client:
            count = (await client.ask(command, Done)).count
        print_json({"forgotten": count}) if as_json else say(f"{count} findings forgotten")
        return Exit.DONE if count or everything else Exit.FAILED

    return run_async(work)


async def _print_findings(command: ListFindings | Recall, *, as_json: bool, url: str | None) -> int:
    from services.cli.connection import connected
    from shared.contracts.findings import FindingsListed, Recall
    from shared.contracts.library import CorporaListed, ListCorpora

    async with connected(url) as client:
        if isinstance(command, Recall) and not command.corpora:  # recall never goes beyond what it is told to search
            corpora = (await client.ask(ListCorpora(), CorporaListed)).corpora
            command = command.model_copy(update={"corpora": tuple(c.name for c in corpora)})
        findings = (await client.ask(command, FindingsListed)).findings
    if as_json:
        print_json(findings)
        return Exit.DONE
    now = datetime.now(UTC)
    rows = [
        (f.finding_id, f.goal_id[:8], ago(f.at, now), ", ".join({e.source: None for e in f.evidence}), one_line(f.text))
        for f in findings
    ]
    print_table(("id", "goal", "found", "sources", "finding"), rows, empty=f"no findings in {command.namespace!r}")
    return Exit.DONE


COMMANDS = {"list": list_, "recall": recall, "forget": forget}
