"""What `benchmarks/search` searches: texts, and questions whose answer is known, each in two wordings."""

import ast
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.quality.corpus import corpus as made_corpus
from tests.quality.paraphrases import DOCUMENTED_PARAPHRASES

ROOT = Path(__file__).resolve().parents[1]
DOCS = Path("/usr/share/doc")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
PACKAGES = ("", "asyncio", "json", "email", "logging")
SEEDS = (1, 77)
NODE = ("timers", "console", "path", "os", "dgram", "cluster", "readline", "zlib", "dns", "child_process")
MANUALS = (
    *(f"valgrind/html/{name}.html" for name in ("quick-start", "manual-intro", "manual-core", "mc-manual")),
    *(f"valgrind/html/{name}.html" for name in ("ms-manual", "hg-manual")),
    "bzip2/manual.html",
)


@dataclass(frozen=True)
class Case:
    """`answer` stands in the passage that is sought."""

    asked: str
    paraphrased: str
    answer: str


@dataclass(frozen=True)
class Corpus:
    name: str
    files: Mapping[str, bytes]
    cases: Sequence[Case]


def corpora() -> Iterator[Corpus]:
    """Those that this machine has: `node` and `manuals` are what Debian's nodejs, valgrind and bzip2-doc install."""
    yield _field()
    yield _python()
    for name, files in (("node", [f"nodejs/api/{one}.md" for one in NODE]), ("manuals", MANUALS)):
        if all((DOCS / file).is_file() for file in files):
            read = {file.replace("/", "-"): (DOCS / file).read_bytes() for file in files}
            yield Corpus(name, read, _questions(name))
    for seed in SEEDS:
        yield _made(seed)


def plain(text: str) -> str:
    """Without the marks and line breaks that a source may have within an answer."""
    return " ".join(text.replace("*", "").replace("`", "").split())


def _questions(name: str) -> list[Case]:
    lines = (ROOT / "benchmarks" / "questions" / f"{name}.tsv").read_text().splitlines()
    return [Case(*line.split("\t")) for line in lines]


def _field() -> Corpus:
    files = {path.name: path.read_bytes() for path in sorted((ROOT / "infra" / "corpus").iterdir())}
    return Corpus("field", files, _questions("field"))


def _made(seed: int) -> Corpus:
    """The quality suite's 200 pages: what is planted is asked for by its own sentence, and by the suite's question."""
    made = made_corpus(seed)
    cases = [Case(fact.text or fact.question, fact.question, fact.wanted[0]) for fact in made.facts]
    cases += [Case(one.text, one.question, one.text) for pair in made.contradictions for one in pair]
    cases += [Case(lie.text, lie.question, lie.kernel) for lie in made.false]
    return Corpus(f"made-{seed}", made.files, cases)


def _python() -> Corpus:
    """The docstrings of this Python's modules that the paraphrased sentences are from, and of all beside them."""
    library = Path(sysconfig.get_path("stdlib"))
    texts = {}
    for package in PACKAGES:
        for path in sorted((library / package).glob("*.py")):
            if text := "\n\n".join(_docstrings(path)):
                texts[f"{package or 'lib'}-{path.stem}.txt"] = text
    known = [(o, p) for p, o in DOCUMENTED_PARAPHRASES if any(plain(o) in plain(text) for text in texts.values())]
    homes = sorted(name for name, text in texts.items() if any(plain(o) in plain(text) for o, _ in known))
    return Corpus("python", {name: texts[name].encode() for name in homes}, [Case(o, p, o) for o, p in known])


def _docstrings(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, DOCUMENTED) and (text := ast.get_docstring(node)):
            yield text
