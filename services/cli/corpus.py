"""`warren corpus`: what goals may be asked about. Documents travel by message, never by path."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from services.cli.console import one_line, print_json, print_table, say
from services.cli.options import AsJson, Url
from services.cli.outcome import Exit, UsageError, run_async

if TYPE_CHECKING:
    from services.cli.connection import MeshClient
    from services.cli.transfer import Sent

HELP = "Add, list and remove corpora: the documents that goals may be asked about."
SHOWN_SKIPS = 20


def add(name: str, /, *paths: Path, as_json: AsJson = False, url: Url = None) -> int:
    """Make a corpus of these folders and files. Again: sends what changed, and what is gone goes from the corpus.

    Parameters
    ----------
    name: The name of the corpus.
    paths: Folders and files: .md .txt .rst .html .pdf.
    """
    from services.cli.connection import connected

    check_name(name)
    if not paths:
        raise UsageError("name at least one folder or file")

    async def work() -> int:
        async with connected(url) as client:
            sent = await send(client, name, paths)
        if as_json:
            print_json({**sent.result.model_dump(mode="json"), "skipped": [s.model_dump() for s in sent.skipped]})
        else:
            print(summary(sent))
            tell_skipped(sent)
        return Exit.DONE if sent.result.documents else Exit.FAILED

    return run_async(work)


def list_(*, as_json: AsJson = False, url: Url = None) -> int:
    """List the corpora of the mesh."""
    from services.cli.connection import connected
    from shared.contracts.library import CorporaListed, ListCorpora

    async def work() -> int:
        async with connected(url) as client:
            corpora = (await client.ask(ListCorpora(), CorporaListed)).corpora
        if as_json:
            print_json(corpora)
        else:
            rows = [(c.name, c.documents, c.passages, f"{c.characters:,}") for c in corpora]
            print_table(
                ("corpus", "documents", "passages", "characters"),
                rows,
                empty="no corpora yet: warren corpus add NAME FOLDER",
            )
        return Exit.DONE

    return run_async(work)


def rm(name: str, /, *, as_json: AsJson = False, url: Url = None) -> int:
    """Forget a corpus. Texts that a kept report cites stay.

    Parameters
    ----------
    name: The name of the corpus.
    """
    from services.cli.connection import connected
    from shared.contracts.library import RemoveCorpus
    from shared.contracts.message import Done

    check_name(name)

    async def work() -> int:
        async with connected(url) as client:
            done = await client.ask(RemoveCorpus(corpus=name), Done, deadline_s=60)
        print_json({"corpus": name, "documents": done.count}) if as_json else say(
            f"{name}: {done.count} documents forgotten"
        )
        return Exit.DONE

    return run_async(work)


COMMANDS = {"add": add, "list": list_, "rm": rm}


async def send(client: MeshClient, name: str, paths: Sequence[Path]) -> Sent:
    """Sends these paths as this corpus, progress on stderr."""
    from services.cli.settings import Settings
    from services.cli.transfer import Transfer

    transfer = Transfer(client, name, note=say, max_bytes=int(Settings().max_file_mb * 1_000_000))
    return await transfer.send(paths)


async def resolve(client: MeshClient, values: Sequence[str]) -> tuple[str, ...]:
    """Names of corpora for what `--corpus` was given: a path is added first, under a name derived from it."""
    names = []
    for value in values:
        path = existing(value)
        if looks_like_path(value) or (path and not await _known(client, value)):
            if path is None:
                raise UsageError(f"{value}: no such file or folder")
            name = name_for(path)
            sent = await send(client, name, [path])
            say(summary(sent))
            tell_skipped(sent)
            names.append(name)
        else:
            check_name(value)
            names.append(value)
    return tuple(dict.fromkeys(names))


def existing(value: str) -> Path | None:
    """The file or folder that this names, if there is one."""
    path = Path(value).expanduser()
    return path if path.exists() else None


def looks_like_path(value: str) -> bool:
    """`./papers`, `/data`, `papers/`, `~/x` are paths; `papers` is a corpus, or a folder if there is no such corpus."""
    return "/" in value or value in {".", ".."} or value.startswith("~") or not _NAME.fullmatch(value)


def name_for(path: Path) -> str:
    """A corpus name for a path: its last part and a short hash of the whole, the same every time."""
    whole = path.expanduser().resolve()
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", whole.name).strip("-._")[:50] or "folder"
    return f"{stem}-{hashlib.sha256(str(whole).encode(errors='surrogateescape')).hexdigest()[:6]}"


def check_name(name: str) -> None:
    """Raises UsageError when this cannot be the name of a corpus."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name for a corpus: letters, digits, `_ . -`, at most 64 characters")


def summary(sent: Sent) -> str:
    """`papers: 12 documents (3 added, 1 changed, 8 unchanged, 0 removed, 14 skipped)`."""
    r = sent.result
    counts = f"{r.added} added, {r.changed} changed, {r.unchanged} unchanged, {r.removed} removed"
    text = f"{r.corpus}: {r.documents} documents ({counts}, {len(sent.skipped)} skipped)"
    return text if r.documents else f"{text}\n  there is nothing to read: documents are .md .txt .rst .html .pdf"


def tell_skipped(sent: Sent) -> None:
    """On stderr: what is not in the corpus, and why."""
    from services.cli.folder import compact

    lines = compact(sent.skipped)
    for line in lines[:SHOWN_SKIPS]:
        say(f"  skipped {one_line(line, 200)}")
    if len(lines) > SHOWN_SKIPS:
        say(f"  and {len(lines) - SHOWN_SKIPS} more (--json lists all)")


async def _known(client: MeshClient, name: str) -> bool:
    from shared.contracts.library import CorporaListed, ListCorpora

    return any(c.name == name for c in (await client.ask(ListCorpora(), CorporaListed)).corpora)


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
