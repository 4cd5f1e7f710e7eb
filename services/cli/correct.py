"""Correcting the body of a dead letter: from a file, from stdin, or in an editor; checked before it is sent."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from services.cli.outcome import CommandFailed, UsageError
from shared.contracts.dead_letters import DeadLetterShown
from shared.errors import NotDecodable
from shared.messaging.consume import decode
from shared.messaging.envelope import Envelope

SHOWN_CHARACTERS = 64 * 1024
"""A body that is shown this long is shown in part only."""


def corrected(seen: DeadLetterShown, file: Path | None) -> str | None:
    """The new body; None when it was left as it was. Raises UsageError, CommandFailed, OSError."""
    if file is not None and str(file) != "-":
        return file.read_text(encoding="utf-8")
    if file is not None or not sys.stdin.isatty():
        text = sys.stdin.read()
        if not text.strip():
            raise UsageError("the new body is empty: --body FILE names it, on a terminal $EDITOR opens")
        return text
    if len(seen.body.encode()) >= SHOWN_CHARACTERS:
        raise CommandFailed("it is too large to be edited here", hint="bring the whole new body with --body FILE")
    return edited(indented(seen.body))


def edited(text: str) -> str | None:
    """What an editor makes of a text; None when nothing. The file stays when the editor fails."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.NamedTemporaryFile("w+", suffix=".json", encoding="utf-8", delete=False) as file:
        file.write(text)
    path = Path(file.name)
    if subprocess.run([*shlex.split(editor), file.name], check=False).returncode != 0:
        raise CommandFailed(f"{editor} ended with an error", hint=f"what was written is in {path}")
    after = path.read_text(encoding="utf-8")
    path.unlink()
    return None if after == text else after


def indented(body: str) -> str:
    """JSON as people read it; anything else as it is."""
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False) + "\n"
    except (ValueError, RecursionError):
        return body


def checked_body(text: str, kind: str) -> None:
    """As its receiver will check it. Raises UsageError that names the field; what was written is kept in a file."""
    try:
        decode(text.encode(), Envelope(type=kind))
    except NotDecodable as error:
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8", delete=False) as kept:
            kept.write(text)
        again = f"not sent; your text is in {kept.name}: --body takes it from there"
        raise UsageError(error.reason, field=error.field, hint=again) from None
