"""Getting a finished report out of the mesh: the bundle is put together on the caller's machine."""

from __future__ import annotations

from pathlib import Path

from services.cli.bundle import Bundle, cited, sha256_of, write
from services.cli.connection import MeshClient
from services.cli.outcome import CommandFailed
from shared.contracts.goals import GoalShown, ShowGoal
from shared.contracts.library import DocumentRead, ReadDocument
from shared.contracts.report import ReportBundle

ANSWER_S = 30.0


async def shown(client: MeshClient, goal_id: str) -> GoalShown:
    """The goal, whole. `goal_id` may be a unique prefix of it."""
    from services.cli.outcome import UsageError

    if len(goal_id) < 4:
        raise UsageError(f"{goal_id!r} is too short for a goal id: at least 4 characters")
    return await client.ask(ShowGoal(goal_id=goal_id), GoalShown, deadline_s=ANSWER_S)


async def save_bundle(client: MeshClient, report: ReportBundle, folder: Path) -> Bundle:
    """Fetches the texts that the report cites, checks their hashes and writes the bundle. Twice is harmless."""
    texts = {sha256: await stored_text(client, sha256) for sha256 in cited(report)}
    bundle = Bundle(report, texts)
    write(bundle, folder)
    return bundle


async def stored_text(client: MeshClient, sha256: str) -> str:
    """A stored text, whole. Raises CommandFailed when it is not the text that it was named after."""
    parts: list[str] = []
    length = 0
    while True:
        read = await client.ask(ReadDocument(sha256=sha256, offset=length), DocumentRead, deadline_s=ANSWER_S)
        parts.append(read.text)
        length += len(read.text)
        if length >= read.total or not read.text:
            break
    text = "".join(parts)
    if sha256_of(text) != sha256:
        raise CommandFailed(f"memory answered with another text than {sha256[:12]}…", hint="run `warren report` again")
    return text
