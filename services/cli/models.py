"""`warren models`: what the model hosts of the mesh have; fetch, load, unload and delete models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from services.cli.console import print_json, print_table, say
from services.cli.model_making import PATIENCE_S, Host, copy, create, on_hosts
from services.cli.options import AsJson, Url
from services.cli.outcome import Exit, run_async

if TYPE_CHECKING:
    from shared.contracts.models import ModelHost, ModelPulled

HELP = "Models of the Ollama hosts that the mesh uses (WARREN_OLLAMA_URLS)."
LOAD_S = 330.0
"""Seconds that loading a model may take; inference gives a silent host up earlier, and says so."""


def list_(*, as_json: AsJson = False, url: Url = None) -> int:
    """List the models of every host, those that auto could not take included."""
    return run_async(lambda: _print_models(only_loaded=False, as_json=as_json, url=url))


def ps(*, as_json: AsJson = False, url: Url = None) -> int:
    """List the models that are loaded, with their memory and context."""
    return run_async(lambda: _print_models(only_loaded=True, as_json=as_json, url=url))


def show(model: str, /, *, host: Host = "", as_json: AsJson = False, url: Url = None) -> int:
    """Show one model: its family, size, context, what it can do.

    Parameters
    ----------
    model: Its name as Ollama has it, without a provider.
    """
    from services.cli.checked import checked
    from services.cli.connection import connected
    from shared.contracts.models import ModelShown, ShowModel

    command = checked(ShowModel, model=model, host=host)

    async def work() -> int:
        async with connected(url) as client:
            seen = await client.ask(command, ModelShown, deadline_s=PATIENCE_S)
        if as_json:
            print_json(seen)
            return Exit.DONE
        context = f"{seen.context} tokens" if seen.context else "unknown"
        print(f"model       {seen.model}\nhost        {seen.host}\nfamily      {seen.family or '?'}")
        print(f"parameters  {seen.parameters or '?'}, {seen.quantization or 'quantization unknown'}")
        print(f"context     {context} at most\ncan         {', '.join(seen.capabilities) or '?'}")
        for line in seen.settings.splitlines():
            print(f"setting     {' '.join(line.split())}")
        return Exit.DONE

    return run_async(work)


def pull(model: str, /, *, host: Host = "", as_json: AsJson = False, url: Url = None) -> int:
    """Fetch a model from Ollama's library. Interrupted here, it goes on there.

    Parameters
    ----------
    model: Its name in the library: qwen3:8b.
    """
    from services.cli.checked import checked
    from services.cli.connection import connected
    from shared.contracts.models import ModelPulled, PullModel

    command = checked(PullModel, model=model, host=host)

    async def work() -> int:
        last = ""
        async with connected(url) as client:
            while not (seen := await client.ask(command, ModelPulled, deadline_s=PATIENCE_S)).done:
                if (line := progress(seen)) != last:
                    say(line)
                    last = line
        if as_json:
            print_json(seen)
        else:
            say(f"{seen.host} has {seen.model}")
        return Exit.DONE

    return run_async(work)


def preload(
    model: str, /, *, keep_s: float | None = None, host: Host = "", as_json: AsJson = False, url: Url = None
) -> int:
    """Load a model before it is needed, with the context that calls will use.

    Parameters
    ----------
    model: Its name as Ollama has it.
    keep_s: Seconds that it stays loaded when idle [default: what the host does].
    """
    from services.cli.checked import checked
    from services.cli.connection import connected
    from shared.contracts.models import ModelReady, PreloadModel

    command = checked(PreloadModel, model=model, host=host, keep_s=keep_s)

    async def work() -> int:
        async with connected(url) as client:
            ready = await client.ask(command, ModelReady, deadline_s=LOAD_S)
        if as_json:
            print_json(ready)
        else:
            say(f"{ready.host} has {ready.model} loaded, after {ready.seconds:.1f} s")
        return Exit.DONE

    return run_async(work)


def unload(model: str, /, *, host: Host = "", as_json: AsJson = False, url: Url = None) -> int:
    """Free the memory of a model, on every host that has it.

    Parameters
    ----------
    model: Its name as Ollama has it.
    """
    from services.cli.checked import checked
    from shared.contracts.models import UnloadModel

    return on_hosts(checked(UnloadModel, model=model, host=host), "unloaded from", as_json=as_json, url=url)


def rm(model: str, /, *, host: Host = "", as_json: AsJson = False, url: Url = None) -> int:
    """Delete a model from the disk of every host that has it.

    Parameters
    ----------
    model: Its name as Ollama has it.
    """
    from services.cli.checked import checked
    from shared.contracts.models import RemoveModel

    return on_hosts(checked(RemoveModel, model=model, host=host), "deleted from", as_json=as_json, url=url)


def version(*, as_json: AsJson = False, url: Url = None) -> int:
    """The version of each Ollama host."""
    from services.cli.connection import connected
    from shared.contracts.models import ListModels, ModelsListed

    async def work() -> int:
        async with connected(url) as client:
            hosts = (await client.ask(ListModels(), ModelsListed, deadline_s=PATIENCE_S)).hosts
        if as_json:
            print_json({host.url: host.version for host in hosts})
        else:
            print_table(
                ("host", "version"),
                [(host.url, host.version or host.error or "not said") for host in hosts],
                empty="no host: WARREN_OLLAMA_URLS names one",
            )
        return Exit.DONE

    return run_async(work)


def progress(seen: ModelPulled) -> str:
    """One line for people: how far a pull is."""
    if not seen.total_bytes:
        return f"{seen.model}: {seen.status}"
    share = 100 * seen.completed_bytes // seen.total_bytes
    return f"{seen.model}: {seen.status}, {size(seen.completed_bytes)} of {size(seen.total_bytes)} ({share}%)"


def size(count: int) -> str:
    """Bytes for people; a dash when there are none to speak of."""
    return "-" if not count else f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def rows(hosts: Iterable[ModelHost], *, only_loaded: bool) -> list[tuple[object, ...]]:
    """A line for each model."""
    found: list[tuple[object, ...]] = []
    for host in hosts:
        for model in host.models:
            if only_loaded and not model.loaded:
                continue
            does = " ".join(word for word, can in (("chat", model.chats), ("embed", model.embeds)) if can) or "-"
            memory = size(model.memory_bytes) if model.loaded else "-"
            build = f"{model.parameters or '?'} {model.quantization}".strip()
            found.append((model.name, build, size(model.size_bytes), does, memory, model.context or "-", host.url))
    return found


async def _print_models(*, only_loaded: bool, as_json: bool, url: str | None) -> int:
    from services.cli.connection import connected
    from shared.contracts.models import ListModels, ModelsListed

    async with connected(url) as client:
        hosts = (await client.ask(ListModels(), ModelsListed, deadline_s=PATIENCE_S)).hosts
    if as_json:
        print_json(hosts)
    else:
        empty = "nothing is loaded" if only_loaded else "no model: `warren models pull qwen3:8b`"
        headings = ("model", "build", "disk", "does", "memory", "context", "host")
        print_table(headings, rows(hosts, only_loaded=only_loaded), empty=empty)
        for host in hosts:
            if host.error:
                say(host.error)
    return Exit.FAILED if hosts and all(host.error for host in hosts) else Exit.DONE


COMMANDS = {
    "list": list_, "ps": ps, "show": show, "pull": pull, "create": create, "copy": copy, "preload": preload,
    "unload": unload, "rm": rm, "version": version,
}  # fmt: skip
