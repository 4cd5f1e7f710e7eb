"""Walking folders: which files are documents, in an order that is always the same, and what is left out and why."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shared.contracts.library import SkippedFile

DOCUMENTS = frozenset({".md", ".markdown", ".txt", ".text", ".rst", ".html", ".htm", ".xhtml", ".pdf"})
"""File name endings that memory can read, lower case."""
NO_DOCUMENT = "not a document type"
MB = 1_000_000


@dataclass(frozen=True)
class FoundFile:
    """A file to offer. `name`: what the corpus calls it; `size` in bytes; `sha256` of its raw bytes."""

    name: str
    path: Path
    size: int
    sha256: str = ""


@dataclass
class Walk:
    """What was found below the paths, and what was not taken."""

    files: list[FoundFile] = field(default_factory=list)
    skipped: list[SkippedFile] = field(default_factory=list)

    def skip(self, name: str, reason: str) -> None:
        self.skipped.append(SkippedFile(name=_printable(name)[:1024] or "?", reason=reason))


def walk(paths: Sequence[Path], *, max_bytes: int) -> Walk:
    """All documents below these folders and files, by name. Hidden files and folders are passed over, except those
    named outright; links are followed, but no folder is entered twice on one way down. Raises FileNotFoundError."""
    found = Walk()
    names: set[str] = set()
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(2, "no such file or folder", str(path))
        prefix = f"{path.resolve().name}/" if len(paths) > 1 and path.is_dir() else ""
        for name, file in _below(path, found):
            name = _free(prefix + name, names)
            if (size := _acceptable(name, file, found, max_bytes=max_bytes)) is not None:
                names.add(name)
                found.files.append(FoundFile(name, file, size))
    return found


def hashed(found: Walk) -> Iterator[FoundFile]:
    """The files with their hashes, one by one; those that cannot be read are skipped with the reason."""
    for file in found.files:
        try:
            yield FoundFile(file.name, file.path, *_size_and_hash(file.path))
        except OSError as error:
            found.skip(file.name, f"cannot be read: {error.strerror or error}")


def chunk(path: Path, index: int, *, size: int) -> bytes:
    """Chunk `index` of a file, in chunks of `size` bytes."""
    with path.open("rb") as file:
        file.seek(index * size)
        return file.read(size)


def compact(skipped: Iterable[SkippedFile]) -> list[str]:
    """Lines about what was left out: kinds that are no documents are counted, everything else is named."""
    skipped = list(skipped)
    kinds = Counter(_ending(s.name) or "no ending" for s in skipped if s.reason == NO_DOCUMENT)
    lines = [f"{count} × {kind}: {NO_DOCUMENT}" for kind, count in kinds.most_common()]
    return lines + [f"{s.name}: {s.reason}" for s in skipped if s.reason != NO_DOCUMENT]


def _below(path: Path, found: Walk) -> Iterator[tuple[str, Path]]:
    """Files with their names relative to `path`, sorted; a file is named by its own name."""
    if not path.is_dir():
        yield path.name, path
        return
    yield from _entries(path, "", found, above=frozenset({_identity(path)}))


def _entries(
    folder: Path, prefix: str, found: Walk, *, above: frozenset[tuple[int, int]]
) -> Iterator[tuple[str, Path]]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        found.skip(prefix or str(folder), f"cannot be read: {error.strerror or error}")
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        path, name = folder / entry.name, prefix + entry.name
        if not entry.is_dir():
            yield name, path
            continue
        identity = _identity(path)
        if identity in above:
            found.skip(name, "a link back to a folder above it")
            continue
        yield from _entries(path, f"{name}/", found, above=above | {identity})


def _acceptable(name: str, path: Path, found: Walk, *, max_bytes: int) -> int | None:
    """The file's size, or None when it was skipped. Nothing is opened here: opening a pipe would wait for ever."""
    try:
        about = path.stat()
    except OSError as error:
        found.skip(name, "a link to nothing" if path.is_symlink() else f"cannot be read: {error.strerror or error}")
        return None
    reason = None
    if not stat.S_ISREG(about.st_mode):
        reason = "not a regular file"
    elif _ending(name) not in DOCUMENTS:
        reason = NO_DOCUMENT
    elif about.st_size > max_bytes:
        reason = f"{about.st_size / MB:,.0f} MB, more than {max_bytes / MB:,.0f} MB (WARREN_MAX_FILE_MB)"
    elif _printable(name) != name:
        reason = "its name is not UTF-8"
    elif len(name) > 1024:
        reason = "its name is longer than 1024 characters"
    if reason:
        found.skip(name, reason)
        return None
    return about.st_size


def _size_and_hash(path: Path) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()


def _identity(path: Path) -> tuple[int, int]:
    about = path.stat()
    return about.st_dev, about.st_ino


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _free(name: str, names: set[str]) -> str:
    """Two folders of the same name may hold the same file name: the second gets a number."""
    candidate, number = name, 2
    stem, ending = os.path.splitext(name)
    while candidate in names:
        candidate, number = f"{stem} ({number}){ending}", number + 1
    return candidate


def _printable(name: str) -> str:
    """The name as valid UTF-8: bytes that are none become replacement characters."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
