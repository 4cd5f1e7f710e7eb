"""From a page to Markdown: citations numbered in order of first use; nothing in a source becomes markup. Pure."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from services.writer.draft import SECTION_SENTENCES
from services.writer.gate import Claim
from services.writer.page import Page, Speaker
from services.writer.section import Section
from services.writer.table import Table
from shared.contracts.evidence import Evidence
from shared.contracts.labels import Labels, counted, labels_for
from shared.contracts.language import is_foreign
from shared.contracts.report import Citation, Source, WrittenReport

REPORT_BYTES = 700 * 1024
"""The report travels in a StepFinished, beside its usage, in at most 1 MiB."""
SHOWN_QUOTE = 200
_OWN_MARKS = re.compile(r"(?<=[\w.,;:!?)\"”’%])\s?\[\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*\](?!\()")
_SPECIAL = re.compile(r"([\\`*\[\]]|~(?=~))")
_BLOCK = re.compile(r"^(?:([#>+=-])|(\d{1,9})([.)]))")


def written(page: Page, evidence: Mapping[str, Evidence]) -> WrittenReport:
    """The whole report, shortened until it fits its message."""
    spoken = page.spoken(_speakers(evidence))
    for sentences in (SECTION_SENTENCES, 4, 2, 1):
        report = _written(spoken.shortened(sentences), evidence)
        if len(report.model_dump_json().encode()) <= REPORT_BYTES:
            return report
    return _written(spoken.shortened(0), evidence)


def _speakers(evidence: Mapping[str, Evidence]) -> dict[str, Speaker]:
    """Who says each quote. A title that is not plain text could not be compared with the source's any more."""
    return {
        name: Speaker(item.title if plain(item.title) == item.title else "", item.quote)
        for name, item in evidence.items()
    }


def _written(page: Page, evidence: Mapping[str, Evidence]) -> WrittenReport:
    cells = [cell for row in page.table.rows for cell in row.cells if cell] if page.table else []
    numbers = numbered([cells, page.summary, *(section.claims for section in page.sections)])
    citations = tuple(_citation(n, evidence[name]) for name, n in numbers.items())
    sources = {c.sha256: Source(sha256=c.sha256, source=c.source, title=c.title) for c in citations}
    return WrittenReport(
        report=_markdown(page, numbers, citations, len(sources)),
        citations=citations,
        sources=tuple(sources.values()),
        not_found=page.not_found,
        removed=page.removed,
    )


def numbered(groups: Iterable[Sequence[Claim]]) -> dict[str, int]:
    """Evidence id -> its number, in order of first use."""
    order = dict.fromkeys(name for claims in groups for claim in claims for name in claim.ids)
    return {name: n for n, name in enumerate(order, start=1)}


def plain(text: str) -> str:
    """Text of a source or model as text, on one line: no markup, no HTML, no control characters, no [12] of its own."""
    text = "".join(" " if unicodedata.category(c) in {"Cc", "Zl", "Zp"} else c for c in text)
    text = "".join(c for c in text if unicodedata.category(c) not in {"Cf", "Cs", "Co"})
    text = _OWN_MARKS.sub("", " ".join(text.split()))
    text = _SPECIAL.sub(r"\\\1", text).replace("<", "&lt;")
    return _BLOCK.sub(lambda m: f"\\{m[1]}" if m[1] else f"{m[2]}\\{m[3]}", text)


def title(page: Page) -> str:
    goal = _cut(plain(page.goal), 160)
    return f"{labels_for(page.goal).digest}: {goal}" if page.engine == "extractive" else goal


def _markdown(page: Page, numbers: Mapping[str, int], citations: Sequence[Citation], sources: int) -> str:
    blocks: list[str] = []
    labels = labels_for(page.goal)
    if page.engine_reason:
        blocks.append(f"engine: {plain(page.engine)} - {_cut(plain(page.engine_reason), 500)}")
    blocks.append(f"# {title(page)}")
    if is_foreign(page.goal):
        blocks.append(f"*{labels.foreign}*")
    if page.table:
        blocks += [f"## {labels.comparison}", _table(page.table, numbers, labels)]
    if citations:
        blocks += [f"## {labels.summary}", _text(page.summary, numbers, as_list=page.engine == "extractive")]
    else:
        blocks.append(labels.nothing)
    for section in page.sections:
        blocks += _section(section, page, numbers, labels)
    if page.not_found:
        blocks += [f"## {labels.not_found}", "\n".join(f"- {plain(text)}" for text in page.not_found)]
    if citations:
        blocks += [f"## {labels.sources}", "  \n".join(_source(citation) for citation in citations)]
    blocks.append(figure(page, len(citations), sources))
    return "\n\n".join(block for block in blocks if block) + "\n"


def figure(page: Page, citations: int, sources: int) -> str:
    """The report's own figure, its last line. All citations left are verified: the gate lets no other through."""
    labels = labels_for(page.goal)
    where = counted(labels.in_sources, sources)
    if page.engine == "extractive":
        line = f"{counted(labels.quotes, citations)} {where}" if citations else labels.no_quotes
    else:
        line = f"{counted(labels.citations, citations)} {where}"
    return f"{line}; {counted(labels.removed, len(page.removed))}" if page.removed else line


def _section(section: Section, page: Page, numbers: Mapping[str, int], labels: Labels) -> list[str]:
    if not section.claims and (not section.repeats or len(page.sections) == 1):
        return []
    mark = f" ({labels.quoted})" if section.quoted and section.claims else ""
    blocks = [f"## {_cut(plain(section.question), 200)}{mark}"]
    if section.note:
        blocks.append(f"*{_cut(plain(section.note), 300)}*")
    if section.claims:
        blocks.append(_text(section.claims, numbers, as_list=section.quoted or page.engine == "extractive"))
    else:
        blocks.append(labels.above)
    return blocks


def _table(table: Table, numbers: Mapping[str, int], labels: Labels) -> str:
    """Every cell cited, or "not stated"."""
    lines = [["", *table.subjects], ["---"] * (1 + len(table.subjects))]
    for row in table.rows:
        shown = [f"{plain(cell.text)} {_marks(cell, numbers)}" if cell else labels.not_stated for cell in row.cells]
        lines.append([plain(row.aspect), *shown])
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def _marks(claim: Claim, numbers: Mapping[str, int]) -> str:
    return "".join(f"[{numbers[name]}]" for name in claim.ids)


def _text(claims: Sequence[Claim], numbers: Mapping[str, int], *, as_list: bool) -> str:
    sentences = [f"{plain(_row(c.text))} {_marks(c, numbers)}" for c in claims]
    return "\n".join(f"- {sentence}" for sentence in sentences) if as_list else " ".join(sentences)


def _row(text: str) -> str:
    """A row of a table as text: its first cell, a colon, the others."""
    if not (text.startswith("|") and text.endswith("|")):
        return text
    first, *others = [cell.strip() for cell in text.strip("|").split("|")]
    return f"{first}: {'; '.join(cell for cell in others if cell)}" if others else first


def _citation(n: int, item: Evidence) -> Citation:
    return Citation(
        n=n,
        evidence_id=item.evidence_id,
        source=item.source,
        title=item.title[:300],
        page=item.page,
        heading=item.heading[:300] if item.heading else None,
        sha256=item.sha256,
        start=item.start,
        end=item.end,
        quote=item.quote,
    )


def _source(citation: Citation) -> str:
    """`[3] smith2021.pdf, p. 4, "Results": "quote..."`"""
    place = plain(citation.source)
    if citation.page is not None:
        place += f", p. {citation.page}"
    if citation.heading:
        place += f', "{_cut(plain(citation.heading), 100)}"'
    return f'[{citation.n}] {place}: "{_cut(plain(citation.quote), SHOWN_QUOTE)}"'


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3].rsplit(" ", 1)[0].rstrip("\\ ") + "..."
