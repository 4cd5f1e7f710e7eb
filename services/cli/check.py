"""Checking a bundle, pure: anyone with the three files can tell whether every citation holds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.cli.bundle import Bundle, sha256_of
from shared.contracts.citing import cited_sentences
from shared.contracts.evidence import supports
from shared.contracts.report import Citation
from shared.contracts.voice import said_by

_MARK = re.compile(r"\[(\d{1,4})\](?!\()")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


@dataclass(frozen=True)
class SentenceCheck:
    """One sentence of the report that cites something. `reason` is None when its quotes support it."""

    sentence: str
    citations: tuple[int, ...]
    reason: str | None


@dataclass(frozen=True)
class Checked:
    """`problems` is empty when the bundle holds. `verified`: citations whose quote stands where they say."""

    citations: int
    verified: int
    sentences: tuple[SentenceCheck, ...]
    problems: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return not self.problems


def check(bundle: Bundle) -> Checked:
    """Looks at every citation, every source, every mark and every citing sentence. Never raises."""
    report = bundle.report
    wrong = {c.n: problem for c in report.citations if (problem := citation_problem(c, bundle))}
    sentences = tuple(_sentences(bundle))
    problems = [f"[{n}] {problem}" for n, problem in wrong.items()]
    problems += [f"sources: {problem}" for problem in _source_problems(bundle)]
    problems += _mark_problems(bundle)
    problems += [f"not supported by {_marks(s.citations)}: {s.sentence} ({s.reason})" for s in sentences if s.reason]
    return Checked(len(report.citations), len(report.citations) - len(wrong), sentences, tuple(problems))


def citation_problem(citation: Citation, bundle: Bundle) -> str | None:
    """Why this citation does not hold; None when its quote stands in the stored text at its offsets."""
    text = bundle.texts.get(citation.sha256)
    if text is None:
        return f"the stored text sources/{citation.sha256}.txt is missing"
    if sha256_of(text) != citation.sha256:
        return f"sources/{citation.sha256}.txt is not the text that it is named after"
    if not 0 <= citation.start < citation.end <= len(text):
        return f"{citation.start}:{citation.end} lies outside the text ({len(text)} characters)"
    if text[citation.start : citation.end] != citation.quote:
        return f"the quote does not stand at {citation.start}:{citation.end} of {citation.source}"
    return None


def _source_problems(bundle: Bundle) -> Iterator[str]:
    """Listed sources whose texts are missing or changed, where no citation has told it already."""
    cited = {c.sha256 for c in bundle.report.citations}
    for source in bundle.report.sources:
        text = bundle.texts.get(source.sha256)
        if source.sha256 in cited:
            continue
        if text is None or sha256_of(text) != source.sha256:
            yield f"{source.source}: its stored text is {'missing' if text is None else 'another one'}"


def _mark_problems(bundle: Bundle) -> list[str]:
    numbers = Counter(c.n for c in bundle.report.citations)
    used = {int(n) for n in _MARK.findall(_CODE.sub("", bundle.report.report))}
    problems = [f"[{n}] stands for {count} citations" for n, count in sorted(numbers.items()) if count > 1]
    problems += [f"[{n}] is cited in the report, but there is no such citation" for n in sorted(used - set(numbers))]
    problems += [f"[{n}] is a citation that the report never uses" for n in sorted(set(numbers) - used)]
    return problems


def _sentences(bundle: Bundle) -> Iterator[SentenceCheck]:
    """Sentences of the report's text (its list of sources is none) with a verdict on each."""
    by_number = {str(c.n): c for c in bundle.report.citations}
    for cited in cited_sentences(_cells_apart(bundle.report.report), by_number):
        if cited.ids:
            numbers = tuple(int(n) for n in cited.ids)
            said = said_by(cited.text, {by_number[n].title for n in cited.ids})
            verdict = supports(said, [by_number[n].quote for n in cited.ids])
            yield SentenceCheck(cited.text, numbers, verdict.reason)


def _cells_apart(markdown: str) -> str:
    """Each cell of a table as a paragraph: it cites for itself."""
    lines = []
    for line in markdown.splitlines():
        cells = re.split(r"(?<!\\)\|", line.strip().strip("|")) if line.startswith("| ") else None
        lines += [f"{cell.strip()}\n".replace("\\|", "|") for cell in cells] if cells else [line]
    return "\n".join(lines)


def _marks(numbers: Sequence[int]) -> str:
    return "".join(f"[{n}]" for n in numbers)
