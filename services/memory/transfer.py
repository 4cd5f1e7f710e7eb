"""A transfer of documents: what is wanted of an offer, and what a corpus becomes at its end. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from shared.contracts.library import OfferedFile, SkippedFile

KINDS = {
    ".md": "md", ".markdown": "md", ".txt": "txt", ".text": "txt", ".rst": "rst",
    ".html": "html", ".htm": "html", ".xhtml": "html", ".pdf": "pdf",
}  # fmt: skip
MEGABYTE = 1_000_000
MAX_LISTED = 300_000
"""Characters of skipped files in one answer: the rest is counted, so that it fits into a message."""


@dataclass(frozen=True)
class Known:
    """What became of a file's bytes when they were parsed: a text, or the reason why there is none."""

    text_sha256: str | None
    reason: str | None


@dataclass(frozen=True)
class Member:
    """A file of a corpus."""

    name: str
    raw_sha256: str
    text_sha256: str


@dataclass(frozen=True)
class Outcome:
    """What a corpus gains and loses, and the figures for whoever asked."""

    put_in: tuple[Member, ...]
    take_out: tuple[str, ...]
    documents: int
    added: int
    changed: int
    unchanged: int
    removed: int
    skipped: tuple[SkippedFile, ...]


def kind_of(name: str) -> str | None:
    """The parser for a file of this name; None when there is none."""
    return KINDS.get(PurePosixPath(name.replace("\\", "/")).suffix.lower())


def refusal(file: OfferedFile, *, max_bytes: int) -> str | None:
    """Why this file is not even wanted; None when it is."""
    if kind_of(file.name) is None:
        suffix = PurePosixPath(file.name.replace("\\", "/")).suffix
        return f"{suffix} files are not read (.md .txt .rst .html .pdf are)" if suffix else "no file extension"
    if file.size > max_bytes:
        return f"{file.size / MEGABYTE:.0f} MB, more than {max_bytes / MEGABYTE:.0f} MB"
    if file.size == 0:
        return "empty"
    return None


def unread(
    files: Sequence[OfferedFile], known: Collection[tuple[str, str]], *, max_bytes: int
) -> dict[tuple[str, str], str]:
    """(raw sha256, kind) -> a name, of what has to be parsed: each once, in order."""
    found: dict[tuple[str, str], str] = {}
    for file in files:
        kind = kind_of(file.name)
        if kind is not None and refusal(file, max_bytes=max_bytes) is None and (file.sha256, kind) not in known:
            found.setdefault((file.sha256, kind), file.name)
    return found


def outcome(
    files: Sequence[OfferedFile],
    known: Mapping[tuple[str, str], Known],
    held: Mapping[str, Member],
    *,
    max_bytes: int,
    replace: bool,
) -> Outcome:
    """What the corpus that consists of `held` becomes by this offer. With `replace`, what is not offered (or can no
    longer be read) leaves it."""
    members: dict[str, Member] = {}
    skipped: list[SkippedFile] = []
    for file in files:
        reason, text = _fate(file, known, max_bytes=max_bytes)
        if text is None:
            skipped.append(SkippedFile(name=file.name, reason=reason))
        else:
            members[file.name] = Member(file.name, file.sha256, text)
    offered_badly = {file.name for file in skipped}
    gone = [name for name in held if name not in members and (replace or name in offered_badly)]
    moved = [member for member in members.values() if held.get(member.name) != member]
    added = sum(member.name not in held for member in moved)
    return Outcome(
        put_in=tuple(moved),
        take_out=tuple(gone),
        documents=len(held) - len(gone) + added,
        added=added,
        changed=len(moved) - added,
        unchanged=len(members) - len(moved),
        removed=len(gone),
        skipped=_listed(skipped),
    )


def _fate(file: OfferedFile, known: Mapping[tuple[str, str], Known], *, max_bytes: int) -> tuple[str, str | None]:
    """(reason, text): one of them says what became of the file."""
    reason = refusal(file, max_bytes=max_bytes)
    if reason is not None:
        return reason, None
    found = known.get((file.sha256, kind_of(file.name) or ""), Known(None, "its bytes did not arrive: add it again"))
    return found.reason or "no text in it", found.text_sha256


def _listed(skipped: Sequence[SkippedFile]) -> tuple[SkippedFile, ...]:
    kept: list[SkippedFile] = []
    room = MAX_LISTED
    for file in skipped:
        room -= len(file.name) + len(file.reason) + 30
        if room < 0:
            rest = len(skipped) - len(kept)
            return (*kept, SkippedFile(name="...", reason=f"{rest} more files that could not be read"))
        kept.append(file)
    return tuple(kept)
