"""What an offer wants, and what a corpus becomes by it."""

from services.memory.transfer import Known, Member, kind_of, outcome, refusal, unread
from shared.contracts.library import OfferedFile

MB = 1_000_000
LIMIT = 50 * MB


def _file(name: str, number: int = 1, size: int = 10) -> OfferedFile:
    return OfferedFile(name=name, sha256=f"{number:064x}", size=size)


def _raw(number: int) -> str:
    return f"{number:064x}"


def test_kinds_are_known_by_extension() -> None:
    assert [kind_of(name) for name in ("a.MD", "b/c.htm", "d.pdf", "e.docx", "README", "w\\x.rst")] == [
        "md", "html", "pdf", None, None, "rst",
    ]  # fmt: skip


def test_what_cannot_be_read_is_refused_with_a_reason() -> None:
    assert refusal(_file("a.docx"), max_bytes=LIMIT) == ".docx files are not read (.md .txt .rst .html .pdf are)"
    assert refusal(_file("a.txt", size=62 * MB), max_bytes=LIMIT) == "62 MB, more than 50 MB"
    assert refusal(_file("a.txt", size=0), max_bytes=LIMIT) == "empty"
    assert refusal(_file("a.txt"), max_bytes=LIMIT) is None


def test_the_same_bytes_are_parsed_once_per_kind() -> None:
    files = [_file("a.txt"), _file("b.txt"), _file("c.md"), _file("d.md", 2)]
    assert unread(files, {(_raw(2), "md")}, max_bytes=LIMIT) == {(_raw(1), "txt"): "a.txt", (_raw(1), "md"): "c.md"}


def test_a_corpus_becomes_exactly_the_offer() -> None:
    held = {n: Member(n, _raw(i), f"t{i}") for i, n in enumerate(("same.md", "new.md", "gone.md"), start=1)}
    known = {(_raw(1), "md"): Known("t1", None), (_raw(9), "md"): Known("t9", None), (_raw(8), "md"): Known("t8", None)}
    files = [_file("same.md", 1), _file("new.md", 9), _file("more.md", 8)]
    end = outcome(files, known, held, max_bytes=LIMIT, replace=True)
    assert (end.added, end.changed, end.unchanged, end.removed, end.documents) == (1, 1, 1, 1, 3)
    assert end.take_out == ("gone.md",)
    kept = outcome(files, known, held, max_bytes=LIMIT, replace=False)
    assert (kept.removed, kept.documents) == (0, 4)


def test_a_file_that_can_no_longer_be_read_leaves_the_corpus_and_is_listed() -> None:
    held = {"a.pdf": Member("a.pdf", _raw(1), "t1")}
    known = {(_raw(2), "pdf"): Known(None, "no text layer: a scan?")}
    end = outcome([_file("a.pdf", 2)], known, held, max_bytes=LIMIT, replace=False)
    assert end.take_out == ("a.pdf",)
    assert [(file.name, file.reason) for file in end.skipped] == [("a.pdf", "no text layer: a scan?")]


def test_a_folder_of_a_hundred_thousand_pictures_still_gives_an_answer_that_fits() -> None:
    files = [_file(f"pictures/of/something/{n}.jpg", n) for n in range(100_000)]
    end = outcome(files, {}, {}, max_bytes=LIMIT, replace=True)
    assert sum(len(file.name) + len(file.reason) + 30 for file in end.skipped) < 310_000
    assert end.skipped[-1].reason.endswith("more files that could not be read")
