"""`warren models create` and `copy`: models made of others."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from services.cli.console import print_json, say
from services.cli.options import AsJson, Url
from services.cli.outcome import Exit, UsageError, run_async

if TYPE_CHECKING:
    from shared.contracts.message import Command

PATIENCE_S = 15.0
Host = Annotated[str, Parameter(help="Only this host, as WARREN_OLLAMA_URLS spells it.")]


def copy(model: str, to: str, /, *, host: Host = "", as_json: AsJson = False, url: Url = None) -> int:
    """Give a model a second name, on every host that has it.

    Parameters
    ----------
    model: Its name as Ollama has it.
    to: The other name; what has it already is replaced.
    """
    from services.cli.checked import checked
    from shared.contracts.models import CopyModel

    return on_hosts(checked(CopyModel, model=model, to=to, host=host), "copied on", as_json=as_json, url=url)


def create(
    model: str,
    /,
    *,
    base: str,
    system: str | None = None,
    set_: Annotated[tuple[str, ...], Parameter(name="--set")] = (),
    template: Path | None = None,
    host: Host = "",
    as_json: AsJson = False,
    url: Url = None,
) -> int:
    """Make a model of another, with a system prompt or parameters of its own, on every host that has the other.

    Parameters
    ----------
    model: Its name; what has it already is replaced.
    base: The model it is made of.
    system: What it is told before each conversation.
    set_: A parameter as Ollama names it, temperature=0.2 or stop=END; may be given several times.
    template: A file with another chat template.
    """
    from services.cli.checked import checked
    from shared.contracts.models import CreateModel

    parameters = settings_of(set_)
    text = template.read_text(encoding="utf-8") if template else None
    asked = {"model": model, "base": base, "system": system, "template": text, "parameters": parameters, "host": host}
    return on_hosts(checked(CreateModel, **asked), "created on", as_json=as_json, url=url)


def settings_of(words: Iterable[str]) -> dict[str, object]:
    """`temperature=0.2` -> 0.2, a name that comes twice -> a list. Raises UsageError for what is no setting."""
    found: dict[str, object] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not (name and equals):
            raise UsageError(f"--set {word}: it is NAME=VALUE, for example temperature=0.2")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        before = found.get(name)
        found[name] = value if name not in found else [*(before if isinstance(before, list) else [before]), value]
    return found


def on_hosts(command: Command, word: str, *, as_json: bool, url: str | None) -> int:
    """Asks for what ends in a number of hosts, and tells it."""
    from services.cli.connection import connected
    from shared.contracts.message import Done

    async def work() -> int:
        async with connected(url) as client:
            done = await client.ask(command, Done, deadline_s=PATIENCE_S)
        if as_json:
            print_json({"hosts": done.count})
        else:
            say(f"{word} {done.count} host{'' if done.count == 1 else 's'}")
        return Exit.DONE

    return run_async(work)
