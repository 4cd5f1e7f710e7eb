"""`warren tree` and `warren reload`: the supervision tree, drawn, and read again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from services.cli import compose
from services.cli.console import duration, print_json, say
from services.cli.handshake import broker_at
from services.cli.mesh import locate
from services.cli.options import AsJson, Url
from services.cli.outcome import Exit, run_async
from services.cli.without_broker import noted_tree
from shared.errors import NoMesh, NoReply

if TYPE_CHECKING:
    from shared.contracts.supervision import TreeDescribed, TreeNode, TreeReloaded

PATIENCE_S = 10.0
MARKS = {"running": "●", "starting": "○", "stopped": "·", "held": "-", "quarantined": "✗"}


def tree(*, as_json: AsJson = False, url: Url = None) -> int:
    """Draw the supervision tree: states, restarts left, uptime, who failed last.

    Without a broker it is drawn from what the watchdog wrote down, and says so.
    """
    mesh = locate(url)
    answers: list[TreeDescribed] = []

    async def work() -> int:
        from services.cli.connection import connected
        from shared.contracts.supervision import DescribeTree, TreeDescribed

        async with connected(mesh=mesh) as client:
            answers.append(await client.ask(DescribeTree(), TreeDescribed, deadline_s=PATIENCE_S))
        return Exit.DONE

    noted = None if broker_at(mesh.url).answers else noted_tree(mesh)  # known at once, without waiting for a broker
    try:
        if noted is None:
            run_async(work)
    except (NoMesh, NoReply):
        noted = noted_tree(mesh)
        if noted is None:
            raise
    if noted:
        say(noted.said)
        answers.append(noted.tree)
    if as_json:
        print_json(answers[0])
        return Exit.DONE
    print("\n".join(drawn(answers[0].nodes)))
    if answers[0].reload_waits:
        say("a changed tree is applied as soon as nobody is starting or stopping")
    if answers[0].refused:
        say(f"the tree read last is not in force: {answers[0].refused}")
    return Exit.DONE


def reload(*, as_json: AsJson = False, url: Url = None) -> int:
    """Read supervision.toml again: what is new starts, what is gone stops, the rest goes on."""
    mesh = locate(url)
    if mesh.mode == "docker":  # there are two watchdogs, and a message reaches one of them
        compose.hang_up("watchdog")
        say("the watchdogs read their tree again: `warren tree` says what came of it")
        return Exit.DONE
    answers: list[TreeReloaded] = []

    async def work() -> int:
        from services.cli.connection import connected
        from shared.contracts.supervision import ReloadTree, TreeReloaded

        async with connected(mesh=mesh) as client:
            answers.append(await client.ask(ReloadTree(), TreeReloaded, deadline_s=PATIENCE_S))
        return Exit.DONE

    run_async(work)
    if as_json:
        print_json(answers[0])
    elif answers[0].waits:
        say("read; it is applied as soon as nobody is starting or stopping: see warren tree")
    else:
        say("\n".join(answers[0].changes) or "nothing has changed")
    return Exit.DONE


def drawn(nodes: Sequence[TreeNode]) -> list[str]:
    """The tree as lines; nodes in drawing order, each parent before its children."""
    known = {node.id for node in nodes if node.kind == "group"}
    roots = [node for node in nodes if node.parent not in known]
    return [line for root in roots for line in _lines(root, nodes, "", "")]


def _lines(node: TreeNode, nodes: Sequence[TreeNode], first: str, rest: str) -> Iterator[str]:
    yield first + (_group(node) if node.kind == "group" else _child(node))
    if node.kind == "child":
        return
    below = [one for one in nodes if one.parent == node.id]
    for one in below:
        last = one is below[-1]
        yield from _lines(one, nodes, rest + ("└── " if last else "├── "), rest + ("    " if last else "│   "))


def _group(node: TreeNode) -> str:
    words = [node.id] if node.state == "up" else [node.id, node.state.upper()]
    if node.next_try_s is not None:
        words.append(f"(next try in {duration(node.next_try_s)})")
    words.append(f"· {node.strategy} · {node.restarts_left} of {node.max_restarts} restarts left in {node.period_s} s")
    if node.last_failed:
        ago = duration(node.last_failed_ago_s or 0.0)
        words.append(f"· last failed: {node.last_failed} {ago} ago ({node.last_failed_reason})")
    return " ".join(words)


def _child(node: TreeNode) -> str:
    words = [MARKS.get(node.state, "?"), node.id, node.state]
    if node.state == "running":
        words.append(duration(node.uptime_s))
    if node.restart != "permanent":
        words.append(f"· {node.restart}")
    if node.restarts:
        words.append(f"· restarted {node.restarts}x")
    if node.reason:
        words.append(f"· {node.reason}")
    return " ".join(words)
