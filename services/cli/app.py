"""The commands, each in a file of its own; what they need is imported when they run."""

from __future__ import annotations

from collections.abc import Sequence

from cyclopts import App, CycloptsError

from services.cli import (
    ask,
    chat,
    corpus,
    dead,
    demo,
    doctor,
    goals,
    logs,
    memory,
    mesh,
    models,
    publish,
    retry,
    supervise,
    supervision_tree,
    tokens,
    up,
    verify,
    watch,
)
from services.cli.outcome import Exit, guarded

HELP = "An agent mesh on RabbitMQ that does not lose your work: a goal becomes a report in which every citation holds."


def build() -> App:
    """The command line. Registers only; nothing connects, reads the environment or opens a file."""
    app = App(
        name="warren",
        help=HELP,
        version=_version,
        help_format="plaintext",
        result_action="return_value",
        default_parameter=None,
    )
    for command in (
        ask.ask, chat.chat, goals.goals, goals.show, watch.watch, goals.cancel, retry.retry, goals.report,
        tokens.tokens, publish.publish, mesh.url, verify.verify, doctor.doctor, logs.logs, demo.demo, up.up, up.down,
        supervise.ps, supervise.stop, supervise.release, supervise.kill, supervise.scale,
        supervision_tree.tree, supervision_tree.reload,
    ):  # fmt: skip
        app.command(command)
    for name, group in (("corpus", corpus), ("memory", memory), ("dead", dead), ("models", models), ("sessions", chat)):
        sub = App(name=name, help=group.HELP, result_action="return_value", help_format="plaintext", version_flags=())
        for sub_name, command in group.COMMANDS.items():
            sub.command(command, name=sub_name)
        app.command(sub)
    return app


def run(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit code."""
    app = build()

    def whole() -> int | None:
        try:
            result = app(list(arguments), exit_on_error=False)
        except CycloptsError:  # cyclopts has printed what is wrong
            return Exit.USAGE
        return result if isinstance(result, int) else None

    return guarded(whole)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("warren")
    except PackageNotFoundError:
        return "0.1.0"
