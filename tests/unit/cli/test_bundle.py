"""Bundles: what is written can be read and checked by anybody, and no tampering passes."""

import hashlib
import json
from pathlib import Path

import pytest

from services.cli.bundle import FIELDS, Bundle, NotABundle, as_json, read, write
from services.cli.check import check
from shared.contracts.report import Citation, ReportBundle, Source, Stats

TEXT = "Quörum queues keep copies.\r\nA quorum queue keeps a copy on several nodes. Classic queues do not.\n"
QUOTE = "A quorum queue keeps a copy on several nodes."
SHA = hashlib.sha256(TEXT.encode()).hexdigest()
REPORT = f"# Queues\n\n{QUOTE[:-1]} [1].\n\n## Sources\n\n[1] queues.md\n"


def citation(**changes: object) -> Citation:
    start = TEXT.index(QUOTE)
    fields = {
        "n": 1, "evidence_id": "e1", "source": "queues.md", "sha256": SHA,
        "start": start, "end": start + len(QUOTE), "quote": QUOTE,
    }  # fmt: skip
    return Citation.model_validate(fields | changes)


def bundle(*, report: str = REPORT, citations: tuple[Citation, ...] | None = None, text: str = TEXT) -> Bundle:
    made = ReportBundle(
        goal_id="g1",
        goal="queues?",
        status="done",
        engine="extractive",
        report=report,
        citations=(citation(),) if citations is None else citations,
        sources=(Source(sha256=SHA, source="queues.md"),),
        stats=Stats(citations=1, verified=1),
    )
    return Bundle(made, {SHA: text})


def test_a_bundle_that_was_written_reads_back_and_holds(tmp_path: Path) -> None:
    write(bundle(), tmp_path)
    again = read(tmp_path)
    assert again == bundle()
    checked = check(again)
    assert checked.holds, checked.problems
    assert (checked.citations, checked.verified, len(checked.sentences)) == (1, 1, 1)


def test_line_ends_and_letters_survive_byte_for_byte(tmp_path: Path) -> None:
    write(bundle(), tmp_path)
    assert (tmp_path / "sources" / f"{SHA}.txt").read_bytes() == TEXT.encode()


def test_report_json_has_the_promised_fields_in_order(tmp_path: Path) -> None:
    write(bundle(), tmp_path)
    data = json.loads((tmp_path / "report.json").read_text())
    assert tuple(data) == FIELDS
    assert set(data["citations"][0]) == {
        "n", "evidence_id", "source", "title", "page", "heading", "sha256", "start", "end", "quote",
    }  # fmt: skip
    assert set(data["stats"]) == {
        "citations", "verified", "steps", "messages", "tokens_in", "tokens_out", "seconds",
    }  # fmt: skip
    assert as_json(bundle().report) == data


def test_writing_twice_leaves_no_old_sources(tmp_path: Path) -> None:
    write(bundle(), tmp_path)
    stale = tmp_path / "sources" / f"{'0' * 64}.txt"
    stale.write_text("old")
    write(bundle(), tmp_path)
    assert not stale.exists()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"quote": "A quorum queue keeps no copy on several node."}, "does not stand at"),
        ({"start": 3}, "does not stand at"),
        ({"end": 100_000}, "lies outside the text"),
        ({"start": 50, "end": 40}, "lies outside the text"),
        ({"sha256": "0" * 64}, "is missing"),
    ],
)
def test_a_citation_that_was_changed_is_found(changes: dict[str, object], problem: str) -> None:
    checked = check(bundle(citations=(citation(**changes),)))
    assert not checked.holds
    assert checked.verified == 0
    assert problem in checked.problems[0]


def test_a_source_that_was_changed_is_found() -> None:
    checked = check(bundle(text=TEXT.replace("Classic", "Private")))
    assert any("is not the text that it is named after" in problem for problem in checked.problems)


def test_a_source_that_is_missing_is_found(tmp_path: Path) -> None:
    write(bundle(), tmp_path)
    (tmp_path / "sources" / f"{SHA}.txt").unlink()
    assert "is missing" in check(read(tmp_path)).problems[0]


@pytest.mark.parametrize(
    ("report", "problem"),
    [
        (REPORT.replace("[1].", "[1][7]."), "[7] is cited in the report, but there is no such citation"),
        ("# Queues\n\nNothing is cited.\n", "[1] is a citation that the report never uses"),
        (REPORT.replace("several", "no"), "not supported by [1]"),
        (REPORT.replace(" [1]", " and pigs can fly over the moon [1]"), 'say nothing of "pigs can fly over'),
        (REPORT.replace("keeps a copy on several nodes", "was invented in 1804 by Ada"), "not supported by [1]"),
    ],
)
def test_a_report_that_says_more_than_its_quotes_is_found(report: str, problem: str) -> None:
    problems = check(bundle(report=report)).problems
    assert any(problem in told for told in problems), problems


def test_two_citations_of_one_number_are_found() -> None:
    assert any("stands for 2" in p for p in check(bundle(citations=(citation(), citation()))).problems)


def test_a_report_that_cites_nothing_holds() -> None:
    made = bundle(report="# Nothing\n\nNo source answers this.\n", citations=())
    assert check(Bundle(made.report.model_copy(update={"sources": ()}), {})).holds


def test_what_is_no_bundle_says_why(tmp_path: Path) -> None:
    with pytest.raises(NotABundle, match=r"no report\.json"):
        read(tmp_path)
    (tmp_path / "report.json").write_text('{"goal_id": 7}')
    with pytest.raises(NotABundle, match="is not a report"):
        read(tmp_path)


def test_a_hash_that_is_a_path_reads_nothing_outside(tmp_path: Path) -> None:
    write(bundle(), tmp_path)
    data = json.loads((tmp_path / "report.json").read_text())
    data["citations"][0]["sha256"] = "../../etc/passwd"
    (tmp_path / "report.json").write_text(json.dumps(data))
    assert "is missing" in check(read(tmp_path)).problems[0]
