"""The figures of one corpus: what was found, shown, repeated and admitted, counted from its text and citations."""

import re
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path

from shared.contracts.report import WrittenReport
from tests.quality.corpus import Corpus, corpus
from tests.quality.desk import Author, Desk
from tests.quality.vectors import Vectors

SENTENCES = 12
"""A report on one fact that needs more says everything rather than the answer."""
SAME = 0.6
_FUNCTION = {"with", "that", "this", "from", "their", "when", "which", "were", "have", "been", "into", "than", "beside"}
WANTED, WANTED_WITH_VECTORS = 10, 11
_CITED = re.compile(r"(.+?)((?:\[\d+\])+)")


@dataclass(frozen=True)
class Figures:
    """Of one corpus. `facts` of 12; `contradictions` of 3; `false` statements repeated as fact, of 4; `unanswered` of
    2; `focus`: share of sentences that name what was asked about; `removed`: sentences that the gate took out;
    `repeats`: pairs of sentences in one part of a report that say the same in nearly the same words."""

    seed: int
    facts: int
    contradictions: int
    false: int
    unanswered: int
    focus: float
    sentences: float
    removed: int
    repeats: int = 0
    missed: tuple[str, ...] = ()
    wanted: int = WANTED
    """Facts that have to be found."""

    def as_dict(self) -> dict[str, object]:
        return asdict(self)

    def line(self) -> str:
        return (
            f"seed {self.seed}: {self.facts} of 12 facts, {self.contradictions} of 3 contradictions, "
            f"{self.false} of 4 false statements repeated, {self.unanswered} of 2 unanswerable said to be not found; "
            f"{self.sentences} sentences a report, {self.focus:.0%} name what was asked about; "
            f"{self.removed} removed by the gate, {self.repeats} repeated"
        )

    def problems(self) -> list[str]:
        """The goals that were missed."""
        goals = {
            f"{self.facts} of 12 facts found (goal: {self.wanted})": self.facts >= self.wanted,
            f"{self.contradictions} of 3 contradictions shown (goal: 3)": self.contradictions == 3,
            f"{self.false} false statements repeated as fact (goal: 0)": self.false == 0,
            f"{self.unanswered} of 2 unanswerable questions in not_found (goal: 2)": self.unanswered == 2,
            f"{self.repeats} sentences say the same as another (goal: 0)": self.repeats == 0,
            f"{self.focus:.0%} of sentences name what was asked about (goal: 60%)": self.focus >= 0.6,
        }
        return [f"seed {self.seed}: {goal}" for goal, met in goals.items() if not met]


def said(report: WrittenReport) -> list[tuple[str, tuple[int, ...]]]:
    """The sentences of a report, sources left out, each with the numbers it cites."""
    return _cited_in(report.report.split("\n## Sources\n")[0])


def _cited_in(body: str) -> list[tuple[str, tuple[int, ...]]]:
    found = []
    for line in body.splitlines():
        for match in _CITED.finditer(line):  # several to a line, where a model wrote
            text = match[1].strip().removeprefix("- ").removeprefix("* ")
            found.append((text, tuple(int(n) for n in re.findall(r"\d+", match[2]))))
    return found


def states(report: WrittenReport, wanted: str, *, source: str | None = None) -> bool:
    """Does a sentence with a citation (of this source) say it, in a report that is not everything there is?"""
    sentences = said(report)
    if len({text for text, _ in sentences}) > SENTENCES:
        return False
    by_number = {c.n: c for c in report.citations}
    return any(
        wanted in text and any(source in (None, by_number[n].source) for n in numbers if n in by_number)
        for text, numbers in sentences
    )


def repeats(report: WrittenReport) -> int:
    """Pairs of sentences, within the summary or within the rest, that share over 60 % of their words of four letters
    and more and all numbers: those with other numbers are contradictions, side by side on purpose."""
    body = report.report.split("\n## Sources\n")[0]
    summary, _, rest = body.partition("\n## Summary\n")[2].partition("\n## ")
    found = 0
    for part in (summary, rest):
        told = [set(re.findall(r"[^\W\d_]{4,}|\d[\d.,]*", text.lower())) - _FUNCTION for text, _ in _cited_in(part)]
        for one, other in combinations(told, 2):
            numbers = {word for word in one ^ other if word[0].isdigit()}
            found += bool(one and other and not numbers and len(one & other) / len(one | other) > SAME)
    return found


async def figures(seed: int, folder: Path, *, vectors: Vectors | None = None, author: Author | None = None) -> Figures:
    """Asks every question of the corpus of this seed. Takes some seconds, most of them for reading PDFs; with `vectors`
    a search is by words and by them, and half a minute more for embedding; an `author` takes the time of a model."""
    made = corpus(seed)
    desk = Desk(folder / f"{seed}{'-by-a-model' if author else ''}.db", vectors, author)
    desk.add(made.files)
    await desk.embed()
    found = await figures_of(seed, made, desk)
    return found if vectors is None else replace(found, wanted=WANTED_WITH_VECTORS)


async def figures_of(seed: int, made: Corpus, desk: Desk) -> Figures:
    """The figures of a desk that has read this corpus."""
    missed: list[str] = []
    about: list[float] = []
    lengths: list[int] = []
    removed = facts = contradictions = false = unanswered = twice = 0
    for fact in made.facts:
        report = await desk.report(fact.question)
        texts = [text for text, _ in said(report)]
        about.append(sum(fact.subject in text for text in texts) / max(1, len(texts)))
        lengths.append(len(texts))
        removed += len(report.removed)
        twice += repeats(report)
        ok = all(states(report, w, source=made.home[fact.question]) for w in fact.wanted)
        facts += ok
        missed += [] if ok else [f"fact: {fact.question} ({fact.text or fact.table}, {made.home[fact.question]})"]
    for one, _ in made.contradictions:
        report = await desk.report(one.question)
        ok = all(states(report, wanted) for wanted in one.wanted)
        contradictions += ok
        missed += [] if ok else [f"contradiction: {one.question} {one.wanted}"]
    for lie in made.false:
        report = await desk.report(lie.question)
        repeated = [t for t, _ in said(report) if lie.kernel in t and not any(m in t.lower() for m in lie.marks)]
        false += bool(repeated)
        missed += [f"false: {text}" for text in repeated[:1]]
    for question, word in made.unanswerable:
        report = await desk.report(question)
        ok = not report.citations and any(word in text for text in report.not_found)
        unanswered += ok
        missed += [] if ok else [f"unanswerable: {question} {[t for t, _ in said(report)][:3]} {report.not_found}"]
    return Figures(
        seed, facts, contradictions, false, unanswered,
        round(sum(about) / len(about), 2), round(sum(lengths) / len(lengths), 1), removed,
        twice, tuple(missed),
    )  # fmt: skip
