"""`make quality DOCS=1`: 30 questions on documentation that Debian installs, answered without a model, and the score.

    python -m benchmarks.answers [--half development] [--docs /usr/share/doc] [--show] [--json]

The questions and what an answer has to say are data: benchmarks/questions/docs.toml. The pipeline is the real one
(parser, index, plan, researcher, engine, gate, writer) in one process: tests/quality/desk.py. A package need not be
installed: `dpkg -x` it into a folder, and give that folder's usr/share/doc as --docs.
"""

import argparse
import asyncio
import json
import re
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from shared.contracts.report import WrittenReport
from tests.quality.desk import Desk
from tests.quality.figures import SENTENCES, said
from tests.quality.unclean import unclean

DATA = Path(__file__).parent / "questions" / "docs.toml"
HALVES = ("development", "held out")


@dataclass(frozen=True)
class Asked:
    """One question and how it went: "hit", "miss" (something else was said) or "not found"."""

    half: str
    corpus: str
    kind: str
    ask: str
    outcome: str
    sentences: int
    unclean: tuple[str, ...]


def outcome(question: dict[str, Any], report: WrittenReport) -> str:
    """An unanswerable question is a hit when the report cites nothing and names what is not there."""
    if "absent" in question:
        admitted = any(question["absent"] in text for text in report.not_found)
        return "hit" if admitted and not report.citations else "miss"
    sources = {citation.n: citation.source for citation in report.citations}
    pages = question.get("page")
    texts = [
        text
        for text, numbers in said(report)
        if not pages or any(sources.get(n, "").endswith(page) for n in numbers for page in pages)
    ]
    short = len({text for text, _ in said(report)}) <= SENTENCES
    if short and all(any(re.search(pattern, text) for text in texts) for pattern in question["says"]):
        return "hit"
    return "miss" if report.citations else "not found"


def read(pages: Sequence[str], folder: Path) -> dict[str, bytes]:
    """The files of these patterns, by their names below the folder."""
    found = (path for pattern in pages for path in sorted(folder.glob(pattern)))
    return {str(path.relative_to(folder)).replace("/", "-"): path.read_bytes() for path in found if path.is_file()}


async def asked(options: argparse.Namespace) -> list[Asked]:
    data = tomllib.loads(DATA.read_text())
    answers = []
    with tempfile.TemporaryDirectory() as work:
        for name, corpus in data["corpora"].items():
            questions = [q for q in data["questions"] if q["corpus"] == name and options.half in (None, q["half"])]
            files = read(corpus["pages"], options.docs) if questions else {}
            if len(files) < len(corpus["pages"]):
                if questions:
                    print(
                        f"{name}: pages are missing below {options.docs}: {_how_to_get(corpus['package'])}",
                        file=sys.stderr,
                    )
                continue
            desk = Desk(Path(work) / f"{name}.db")
            desk.add(files)
            for question in questions:
                report = await desk.report(question["ask"])
                answers.append(_asked(question, report, desk.texts))
                if not options.json:
                    _print(answers[-1], report, options)
    return answers


def _how_to_get(packages: str) -> str:
    return f"`apt-get install {packages}`, or `apt-get download {packages}` and `dpkg -x` into a folder for --docs"


def _asked(question: dict[str, Any], report: WrittenReport, stored: Mapping[str, str]) -> Asked:
    texts = [text for text, _ in said(report)]
    wrong = [
        text
        for before, text in pairwise(["", *texts])
        if (why := unclean(text)) and not _led(why, before, text, stored)
    ]
    return Asked(
        question["half"], question["corpus"], question["kind"], question["ask"], outcome(question, report),
        len(texts), tuple(wrong),
    )  # fmt: skip


def _led(why: str, before: str, text: str, stored: Mapping[str, str]) -> bool:
    """A sentence that leans on the one before it in its source may stand after that one."""
    together = " ".join(f"{before} {text}".replace("\\", "").split())
    return why == "leans" and bool(before) and any(together in " ".join(one.split()) for one in stored.values())


def _print(one: Asked, report: WrittenReport, options: argparse.Namespace) -> None:
    print(f"{one.outcome:9} {one.corpus:9} {one.ask} ({one.kind}; {one.sentences} sentences)", flush=True)
    for text in one.unclean:
        print(f"          unclean: {text}")
    if options.show:
        print("\n".join(f"          | {line}" for line in report.report.splitlines()))


def line(half: str, answers: Sequence[Asked]) -> str:
    counts = Counter(one.outcome for one in answers)
    wrong, every = sum(len(one.unclean) for one in answers), sum(one.sentences for one in answers)
    return (
        f"{half}: {counts['hit']} of {len(answers)} answered ({counts['miss']} missed, "
        f"{counts['not found']} not found), "
        f"{wrong} of {every} sentences unclean"
    )


def main() -> int:
    """0: all questions were asked; 2: pages of a package are missing. The score is printed, not judged."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.answers", description=__doc__)
    parser.add_argument("--docs", type=Path, default=Path("/usr/share/doc"), help="where the packages' pages are")
    parser.add_argument("--half", choices=HALVES, help="only this half of the questions")
    parser.add_argument("--show", action="store_true", help="print each report")
    parser.add_argument("--json", action="store_true", help="JSON on stdout instead of lines")
    options = parser.parse_args()
    answers = asyncio.run(asked(options))
    halves = [half for half in HALVES if options.half in (None, half)]
    scored = {half: [one for one in answers if one.half == half] for half in halves}
    if options.json:
        print(json.dumps([asdict(one) for one in answers], ensure_ascii=False))
    else:
        for half, some in scored.items():
            print(line(half, some))
    wanted = sum(q["half"] in halves for q in tomllib.loads(DATA.read_text())["questions"])
    return 0 if len(answers) == wanted else 2


if __name__ == "__main__":
    sys.exit(main())
