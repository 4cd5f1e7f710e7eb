"""`report.html`: what it shows, and that nothing in it is markup but its own."""

import hashlib

from services.cli.report_page import page
from shared.contracts.report import Citation, Removed, ReportBundle, Source

TEXT = "Before it <b>all</b>.\n\n" + "Filler words stand here. " * 40 + "A quorum queue keeps copies. " + "More. " * 200
QUOTE = "A quorum queue keeps copies."
SHA = hashlib.sha256(TEXT.encode()).hexdigest()
REPORT = f"""# Queues

## Summary

- {QUOTE} [1]
- The source says \\[1\\] and <script>alert(1)</script> and ![x](http://example.org/x.png) [1]

## Sources

An aspect of the question that has the name of our own list. [1]

## Sources

[1] queues.md: "{QUOTE}"

1 quote, all found verbatim in 1 source
"""


def report(**changes: object) -> ReportBundle:
    start = TEXT.index(QUOTE)
    citation = Citation(
        n=1, evidence_id="e1", source="<i>queues</i>.md", page=4, heading="Results", sha256=SHA,
        start=start, end=start + len(QUOTE), quote=QUOTE,
    )  # fmt: skip
    fields: dict[str, object] = {
        "goal_id": "g1", "goal": "queues?", "status": "done", "report": REPORT, "citations": (citation,),
        "sources": (Source(sha256=SHA, source="queues.md"),),
    }  # fmt: skip
    return ReportBundle.model_validate(fields | changes)


def test_a_citation_leads_to_the_stored_passage_with_the_quote_marked() -> None:
    html = page(report(), {SHA: TEXT})
    assert '<a class="n" id="r1" href="#c1">[1]</a>' in html
    assert '<section class="citation" id="c1">' in html
    assert "p. 4, “Results”" in html
    assert f"stand here. <mark>{QUOTE}</mark> More." in html


def test_what_a_source_wrote_is_text_and_never_markup_or_a_link_of_ours() -> None:
    html = page(report(), {SHA: TEXT})
    assert "<script" not in html
    assert "<img" not in html
    assert 'href="http' not in html
    assert "&lt;i&gt;queues&lt;/i&gt;.md" in html
    assert "The source says [1] and" in html, "its own bracket is no citation"
    assert "default-src 'none'" in html


def test_the_list_of_sources_is_replaced_by_the_passages_and_only_that_list() -> None:
    html = page(report(), {SHA: TEXT})
    assert "[1] queues.md" not in html
    assert "An aspect of the question" in html
    assert "1 quote, all found verbatim in 1 source" in html


def test_without_the_stored_text_the_quote_stands_alone() -> None:
    for texts in ({}, {SHA: "another text"}):
        assert f"<blockquote><mark>{QUOTE}</mark></blockquote>" in page(report(), texts)


def test_a_report_without_citations_has_no_sources() -> None:
    html = page(report(report="Nothing.\n", citations=(), sources=()), {})
    assert "<aside" not in html
    assert "<p>Nothing.</p>" in html


def test_what_the_gate_removed_is_shown_with_its_reason() -> None:
    html = page(report(removed=(Removed(section="s", sentence="It <never> fails.", reason="too strong"),)), {})
    assert "What the gate removed (1)" in html
    assert "It &lt;never&gt; fails. <i>too strong</i>" in html
