"""The goals of quality, on three corpora that nobody has seen (the day is the seed), and what must fail them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.cli.bundle import Bundle
from services.cli.check import check
from shared.contracts.report import Citation, ReportBundle, WrittenReport
from tests.quality.corpus import Corpus, corpus
from tests.quality.desk import KINDS, Desk
from tests.quality.figures import figures, figures_of, said, states
from tests.quality.gate import judged
from tests.quality.papers import LEANS, NEVER, papers
from tests.quality.wayward import WAYWARD, WaywardAuthor

TODAY = int(datetime.now(UTC).strftime("%Y%m%d"))


@pytest.mark.parametrize("seed", [10 * TODAY, 10 * TODAY + 1, 10 * TODAY + 2])
async def test_an_unseen_corpus_meets_the_goals(seed: int, tmp_path: Path) -> None:
    found = await figures(seed, tmp_path)
    print(found.line())
    assert found.problems() == [], f"`python -m tests.quality --seed {seed} --seeds 1` shows it again: {found}"


def test_the_gate_refuses_what_was_turned_and_keeps_what_was_only_said_otherwise() -> None:
    gate = judged()
    print(gate.line())
    assert gate.turned >= 300
    assert gate.paraphrases >= 100
    assert gate.problems() == [], gate


class Silent(Desk):
    """Finds nothing, ever."""

    async def report(self, goal: str) -> WrittenReport:
        return WrittenReport(report=f"## Not found\n\n- {goal}\n", not_found=(goal,))


class Chatty(Desk):
    """Quotes everything there is."""

    async def report(self, goal: str) -> WrittenReport:
        lines = [line for text in self.texts.values() for line in text.splitlines() if line.strip()]
        citation = Citation(n=1, evidence_id="e", source="all", sha256="0" * 64, start=0, end=1, quote="x")
        return WrittenReport(report="\n".join(f"- {line} [1]" for line in lines), citations=(citation,))


@pytest.mark.parametrize("kind", [Silent, Chatty])
async def test_saying_nothing_and_saying_everything_both_fail(kind: type[Desk], tmp_path: Path) -> None:
    made: Corpus = corpus(1)
    desk = kind(tmp_path / "index.db")
    desk.add(made.files)
    assert (await figures_of(1, made, desk)).problems() != []


@pytest.mark.parametrize("how", WAYWARD)
async def test_no_model_however_wayward_is_worse_than_none(how: str, tmp_path: Path) -> None:
    made = corpus(TODAY)
    files = {name: data for name, data in made.files.items() if not name.endswith(".pdf")}
    by = WaywardAuthor(WAYWARD[how])
    without, with_model = Desk(tmp_path / "without.db"), Desk(tmp_path / "with.db", author=by)
    for desk in (without, with_model):
        desk.add(files)
    plain, written = await figures_of(TODAY, made, without), await figures_of(TODAY, made, with_model)
    assert (written.facts, written.contradictions) >= (plain.facts, plain.contradictions), written.missed
    assert (written.false, written.repeats, written.unanswered) == (0, 0, plain.unanswered), written.missed


def test_the_same_seed_gives_the_same_corpus() -> None:
    one, other = corpus(7), corpus(7)
    assert one.files.keys() == other.files.keys()
    assert {n: d for n, d in one.files.items() if not n.endswith(".pdf")} == {
        n: d for n, d in other.files.items() if not n.endswith(".pdf")
    }
    assert corpus(8).facts != one.facts


async def test_a_comparison_opens_with_a_table_and_all_of_it_can_be_checked_by_anybody(tmp_path: Path) -> None:
    folder = Path(__file__).parents[2] / "infra" / "corpus"
    desk = Desk(tmp_path / "index.db")
    desk.add({path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix in KINDS})
    goal = "How do RabbitMQ and Kafka differ in delivery, ordering and replay?"
    written = await desk.report(goal)
    lines = written.report.splitlines()
    assert lines.index("## Comparison") < lines.index("## Summary")
    assert "| Replay - RabbitMQ queue: no (streams: yes) " in written.report.replace("| replay ", "")
    bundle = Bundle(ReportBundle(goal_id="g", goal=goal, status="done", **dict(written)), desk.texts)
    checked = check(bundle)
    assert checked.holds, checked.problems
    assert sum("Kafka" in sentence.sentence for sentence in checked.sentences) > 5


async def test_of_two_column_papers_nothing_but_their_sentences_is_quoted(tmp_path: Path) -> None:
    made = papers(TODAY)
    desk = Desk(tmp_path / "index.db")
    desk.add({paper.name: paper.data for paper in made})
    wrong, found = [], 0
    for paper in made:
        others = (f"What is the {paper.subject}?", f"What was measured with the {paper.subject} and how was it done?")
        for question in (paper.question, *others):
            report = await desk.report(question)
            texts = [text for text, _ in said(report)]
            found += question == paper.question and states(report, paper.wanted, source=paper.name)
            wrong += [text for text in texts if any(mark in text for mark in NEVER)]
            wrong += [text for before, text in zip(["", *texts], texts, strict=False) if orphan(desk, before, text)]
    assert wrong == []
    assert found == len(made)


def orphan(desk: Desk, before: str, text: str) -> bool:
    """A sentence that leans on the one before it in its paper, which does not stand before it here."""
    return text.startswith(LEANS) and not any(before and f"{before} {text}" in whole for whole in desk.texts.values())


GERMAN = """# Warteschlangen

Eine Quorum-Warteschlange kopiert jede Nachricht auf mehrere Knoten. Eine klassische Warteschlange behält ihre
Nachrichten auf einem einzigen Knoten. Die Quorum-Warteschlange braucht mindestens drei Knoten.
"""


async def test_a_report_is_in_the_language_of_its_question(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "index.db")
    desk.add({"warteschlangen.md": GERMAN.encode()})
    report = (await desk.report("Wie viele Knoten braucht die Quorum-Warteschlange?")).report
    assert report.startswith("# Belegsammlung (ohne Modell): Wie viele")
    assert "## Zusammenfassung\n\n- Die Quorum-Warteschlange braucht mindestens drei Knoten. [1]" in report
    assert "## Quellen" in report
    absent = await desk.report("Was kostet der Zeppelin?")
    assert "Zeppelin" in absent.not_found[0]
    assert "Dokument" in absent.not_found[0]
    foreign = (await desk.report("Quanti nodi servono alla Quorum-Warteschlange?")).report
    assert "none of the languages" in foreign.split("## ")[0]
    assert "none of the languages" not in report
