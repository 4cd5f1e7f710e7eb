"""A page as Markdown: numbered in order of first use, and nothing of a source becomes markup."""

import re

import pytest

from services.writer.gate import Claim
from services.writer.markdown import REPORT_BYTES, plain, title, written
from services.writer.page import Page
from services.writer.section import Section
from shared.contracts.report import Removed


def page(evidence, **more) -> Page:
    claims = tuple(Claim(item.quote, (item.evidence_id,)) for item in evidence)
    sections = (Section("What are quorum queues?", claims[:2]), Section("What are classic queues?", claims[2:]))
    known = {"goal": "How do they differ?", "sections": sections, "summary": claims[1:2], "engine": "ollama/x", **more}
    return Page(**known)


@pytest.fixture
def evidence(lines, make_quote):
    return [make_quote(line) for line in lines[:3]]


def by_id(evidence):
    return {item.evidence_id: item for item in evidence}


def test_a_report_has_title_summary_sections_sources_and_its_own_figure(evidence, lines):
    report = written(page(evidence), by_id(evidence))
    assert report.report == (
        "# How do they differ?\n\n"
        f"## Summary\n\n{lines[1]} [1]\n\n"
        f"## What are quorum queues?\n\n{lines[0]} [2] {lines[1]} [1]\n\n"
        f"## What are classic queues?\n\n{lines[2]} [3]\n\n"
        "## Sources\n\n"
        f'[1] queues.pdf, p. 4, "Kinds of queues": "{lines[1]}"  \n'
        f'[2] queues.pdf, p. 4, "Kinds of queues": "{lines[0]}"  \n'
        f'[3] queues.pdf, p. 4, "Kinds of queues": "{lines[2]}"\n\n'
        "3 citations, 3 verified in 1 source\n"
    )
    assert [c.n for c in report.citations] == [1, 2, 3]
    assert [c.quote for c in report.citations] == [lines[1], lines[0], lines[2]]
    assert [s.source for s in report.sources] == ["queues.pdf"]


def test_without_a_model_it_is_a_digest_of_quotes_and_says_why(evidence):
    reason = "no model: http://127.0.0.1:11434 refused"
    made = page(
        evidence, engine="extractive", engine_reason=reason, removed=(Removed(section="", sentence="", reason=""),)
    )
    text = written(made, by_id(evidence)).report
    assert text.startswith(f"engine: extractive - {reason}\n\n# Evidence digest (no model): How do they differ?\n")
    assert text.endswith("3 quotes, all found verbatim in 1 source; 1 sentence removed\n")


def test_a_quoted_section_and_one_that_repeats_say_so(evidence):
    claim = Claim(evidence[0].quote, (evidence[0].evidence_id,))
    sections = (Section("One?", (claim,), quoted=True, note="the model failed"), Section("Two?", repeats=True))
    text = written(page(evidence, sections=sections, summary=(claim,)), by_id(evidence)).report
    assert "## One? (quoted)\n\n*the model failed*\n\n- Quorum" in text
    assert "## Two?\n\nAnswered above; nothing more was found." in text


def test_a_report_that_could_support_nothing_says_so_and_cites_nothing():
    report = written(Page(goal="Why?", not_found=("no passage in 3 documents matches: Why?",)), {})
    assert "says nothing and cites nothing" in report.report
    assert "## Not found\n\n- no passage in 3 documents matches: Why?" in report.report
    assert not re.search(r"\[\d", report.report)
    assert (report.citations, report.sources) == ((), ())


@pytest.mark.parametrize(
    ("hostile", "never"),
    [
        ("<script>alert(1)</script>", "<script"),
        ("![x](http://evil.example/a.png)", "!["),
        ("click [here](javascript:alert(1))", "[here]("),
        ("# a heading", "\n#"),
        ("1. a list\n\n# and a heading\n---", "\n"),
        ("as shown before [12] and [3, 4].", "[12]"),
        ("`` code ` that swallows", "``"),
        ("right\u202eto\u2066left\x1b[31m\x07", "\u202e"),
        ("\x1b]8;;http://evil.example\x07link", "\x1b"),
    ],
)
def test_nothing_of_a_source_becomes_markup(hostile, never):
    text = plain(hostile)
    assert never not in text
    assert "\n" not in text
    assert not re.search(r"(?<!\\)\[", text)
    assert not text.startswith("#")


def test_a_table_row_reads_as_text(make_quote):
    row = "| default | 20 | deliveries |"
    item = make_quote(row, text=f"x {row}")
    made = Page(goal="?", sections=(Section("?", (Claim(row, (item.evidence_id,)),)),), engine="m")
    report = written(made, {item.evidence_id: item})
    assert "default: 20; deliveries [1]" in report.report
    assert report.citations[0].quote == row


def test_what_a_source_says_of_itself_is_said_by_its_authors(make_quote):
    line = "We recommend at least three nodes."
    item = make_quote(line, text=f"{line} x", title="Queues")
    claims = (Claim(line, (item.evidence_id,)),)
    made = Page(goal="How many?", sections=(Section("How many?", claims),), summary=claims)
    report = written(made, {item.evidence_id: item})
    assert report.report.count(f'- The authors of Queues: "{line}" [1]') == 2
    model = Page(goal="How many?", sections=(Section("How many?", (Claim("We need three.", claims[0].ids),)),))
    assert "- We need three. [1]" in written(model, {item.evidence_id: item}).report


def test_words_are_left_as_they_are():
    for text in ("x-queue-type is set by `--flag_name`", "5 > 3 and a_b_c, 50 % (about ~3)", "Größe, naïve, 日本語"):
        assert plain(text).replace("\\", "") == text


def test_a_title_is_cut_at_a_word():
    assert len(title(Page(goal="word " * 4000, engine="ollama/x"))) <= 160


def test_a_report_always_fits_its_message(make_quote):
    text = "".join(f"Предложение номер {n} " + "очень " * 95 + ". " for n in range(12 * 8))
    lines = [line + "." for line in text.split(". ") if line]
    items = [make_quote(line[:600], text=text, source="я" * 1024, title="т" * 5000) for line in lines]
    claims = tuple(Claim(item.quote, (item.evidence_id,)) for item in items)
    sections = tuple(Section("ю" * 4000, claims[8 * n : 8 * n + 8]) for n in range(12))
    removed = tuple(Removed(section="я" * 300, sentence="ж" * 600, reason="щ" * 300) for _ in range(200))
    made = Page(
        goal="ы" * 20_000,
        sections=sections,
        summary=claims[:4],
        removed=removed,
        not_found=("ф" * 600,) * 100,
        engine="m",
    )
    report = written(made, by_id(items))
    assert report.citations
    assert len(report.model_dump_json().encode()) <= REPORT_BYTES
