"""Walking folders: always the same order, nothing dangerous opened, everything left out is told."""

import os
from pathlib import Path

import pytest

from services.cli.folder import NO_DOCUMENT, chunk, compact, hashed, walk

LIMIT = 1000


def names(path: Path, *more: Path) -> list[str]:
    return [file.name for file in walk([path, *more], max_bytes=LIMIT).files]


def reasons(path: Path) -> dict[str, str]:
    return {s.name: s.reason for s in walk([path], max_bytes=LIMIT).skipped}


def write(path: Path, text: str = "text") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_documents_come_in_the_same_order_with_names_relative_to_the_folder(tmp_path: Path) -> None:
    for name in ("z.md", "b/2.txt", "a.HTML", "b/1.pdf", "b/c/deep.rst"):
        write(tmp_path / name)
    assert names(tmp_path) == ["a.HTML", "b/1.pdf", "b/2.txt", "b/c/deep.rst", "z.md"]


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path / ".git" / "config.txt")
    write(tmp_path / ".notes.md")
    write(tmp_path / "seen.md")
    assert names(tmp_path) == ["seen.md"]
    assert reasons(tmp_path) == {}


def test_a_file_that_is_named_outright_is_taken_by_its_own_name(tmp_path: Path) -> None:
    assert names(write(tmp_path / ".notes.md")) == [".notes.md"]


def test_several_folders_keep_their_files_apart(tmp_path: Path) -> None:
    write(tmp_path / "one" / "a.md")
    write(tmp_path / "two" / "a.md")
    assert names(tmp_path / "one", tmp_path / "two") == ["one/a.md", "two/a.md"]


def test_folders_of_the_same_name_do_not_hide_each_other(tmp_path: Path) -> None:
    write(tmp_path / "x" / "docs" / "a.md")
    write(tmp_path / "y" / "docs" / "a.md")
    assert names(tmp_path / "x" / "docs", tmp_path / "y" / "docs") == ["docs/a.md", "docs/a (2).md"]


def test_a_link_back_to_a_folder_above_is_not_followed_for_ever(tmp_path: Path) -> None:
    write(tmp_path / "a" / "x.md")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert names(tmp_path) == ["a/x.md"]
    assert reasons(tmp_path) == {"a/loop": "a link back to a folder above it"}


def test_links_to_other_folders_and_files_are_followed(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "x.md")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "linked").symlink_to(tmp_path / "elsewhere")
    assert names(tmp_path / "here") == ["linked/x.md"]


def test_what_is_left_out_has_a_reason(tmp_path: Path) -> None:
    write(tmp_path / "big.md", "x" * (LIMIT + 1))
    write(tmp_path / "picture.png")
    (tmp_path / "gone.md").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / os.fsdecode(b"caf\xe9.md")).write_text("x")
    found = reasons(tmp_path)
    assert found["picture.png"] == NO_DOCUMENT
    assert found["gone.md"] == "a link to nothing"
    assert found["pipe.txt"] == "not a regular file"
    assert found["caf�.md"] == "its name is not UTF-8"
    assert "more than" in found["big.md"]
    assert "WARREN_MAX_FILE_MB" in found["big.md"]


def test_a_file_that_vanishes_before_it_is_read_is_skipped(tmp_path: Path) -> None:
    path = write(tmp_path / "a.md")
    found = walk([tmp_path], max_bytes=LIMIT)
    path.unlink()
    assert list(hashed(found)) == []
    assert "cannot be read" in found.skipped[0].reason


def test_hash_and_size_are_of_the_raw_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a.md", "hello\n")
    (file,) = hashed(walk([tmp_path], max_bytes=LIMIT))
    assert file.size == 6
    assert file.sha256 == "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"


def test_chunks_cover_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.md", "0123456789")
    assert [chunk(path, index, size=4) for index in range(3)] == [b"0123", b"4567", b"89"]


def test_no_such_path_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        walk([tmp_path / "nothing"], max_bytes=LIMIT)


def test_files_that_are_no_documents_are_counted_by_kind(tmp_path: Path) -> None:
    for number in range(12):
        write(tmp_path / f"{number}.png")
    write(tmp_path / "Makefile")
    write(tmp_path / "big.md", "x" * (LIMIT + 1))
    lines = compact(walk([tmp_path], max_bytes=LIMIT).skipped)
    assert lines[0] == "12 × .png: not a document type"
    assert lines[1] == "1 × no ending: not a document type"
    assert lines[2].startswith("big.md: ")
