"""Does search by words and vectors find more than search by words, and never less?

    benchmarks/search --ollama http://127.0.0.1:11434 [--model all-minilm] [--json FILE]
    benchmarks/search --scale 20000

Memory's own parser, passages, index, sifting and fusion, inference's own batches, and a real Ollama with an embedding
model; searched as the researcher does. Up to six corpora (see search_corpora.py), each question asked in the words of
its source and in others.
Recall@n: the share of questions with a passage that holds the answer among the first n; MRR: the mean of 1/rank within
the first ten. Beside them what plain reciprocal ranks would give, as a reference.

Exit 1 when, on any corpus and wording, both together have a lower recall@10 than words alone, or an MRR lower by more
than 0.02; or when no higher recall@10 on paraphrases, save where words alone find everything (1.0). At least three
corpora have to be there. `--scale`: how long a search takes among so many passages (search_scale.py).
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.search_corpora import Corpus, corpora, plain
from benchmarks.search_scale import line, measure_scale
from services.inference.ollama_client import OllamaHost
from services.memory.extract import extract
from services.memory.hybrid import POOL, Near, hybrid
from services.memory.index import SearchIndex
from services.memory.passages import cut
from services.memory.store import StoredText
from services.researcher.question import queries
from shared.contracts.library import Passage, Search
from tests.quality.vectors import Vectors

KINDS = {".md": "md", ".txt": "txt", ".rst": "rst", ".html": "html", ".pdf": "pdf"}
FIRSTS = (1, 3, 10)
WAYS = ("words", "both", "ranks")
LESS = 0.02
"""Of MRR, from one question in fifty: what would not be noticed."""
ENOUGH = 3
K = 60
"""Of reciprocal rank fusion: Cormack, Clarke and Buettcher, SIGIR 2009."""
Key = tuple[str, int]


def main() -> int:
    options = _options()
    if options.scale:
        result = asyncio.run(measure_scale(options.scale))
        print(line(result))
    else:
        result = asyncio.run(measure(options.ollama, options.model))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    problems = [] if options.scale else missed(result["rows"])
    for problem in problems:
        print(f"search: {problem}", file=sys.stderr)
    return int(bool(problems))


def missed(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The goals that were not met."""
    found = []
    for row in rows:
        name = f"{row['corpus']}, {row['wording']}"
        words, both = row["words"], row["both"]
        if both["@10"] < words["@10"]:
            found.append(f"{name}: recall@10 {both['@10']:.3f}, by words alone {words['@10']:.3f}")
        if both["mrr"] < words["mrr"] - LESS:
            found.append(f"{name}: MRR {both['mrr']:.3f}, by words alone {words['mrr']:.3f}")
        if row["wording"] == "paraphrased" and both["@10"] == words["@10"] < 1:
            found.append(f"{name}: recall@10 is no higher than by words alone, {words['@10']:.3f}")
    if len({row["corpus"] for row in rows}) < ENOUGH:
        found.append(f"fewer than {ENOUGH} corpora")
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/search", description="Recall by words, and by words and vectors.")
    parser.add_argument("--ollama", default="http://127.0.0.1:11434", help="a host that has the model")
    parser.add_argument("--model", default="all-minilm", help="an embedding model")
    parser.add_argument(
        "--scale", type=int, metavar="PASSAGES", help="measure time and memory instead, without a model"
    )
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    return parser.parse_args()


async def measure(url: str, model: str) -> dict[str, Any]:
    host = OllamaHost(url)
    result: dict[str, Any] = {"model": model, "rows": [], "corpora": {}}
    spent: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory(prefix="warren-search-") as folder:
        for corpus in corpora():
            desk = Desk(SearchIndex(Path(folder) / f"{corpus.name}.db"), Vectors(host, model))
            result["corpora"][corpus.name] = about = await desk.add(corpus)
            print(
                "{}: {documents} texts, {passages} passages, embedded in {embedding_s:.0f} s".format(
                    corpus.name, **about
                )
            )
            for wording in ("asked", "paraphrased"):
                found = [await desk.found(getattr(case, wording), case.answer) for case in corpus.cases]
                spent += [one.seconds for one in found]
                row = {"corpus": corpus.name, "wording": wording, "n": len(found)}
                row |= {way: _figures([one.ranks[way] for one in found]) for way in WAYS}
                result["rows"].append(row)
                _say(row)
    await host.close()
    result["words_ms"], result["both_ms"] = (sum(times) / len(spent) * 1000 for times in zip(*spent, strict=True))
    print(f"a query: words {result['words_ms']:.1f} ms, both {result['both_ms']:.1f} ms (its embedding included)")
    return result


def _figures(ranks: Sequence[int | None]) -> dict[str, float]:
    found = [rank for rank in ranks if rank is not None]
    recall = {f"@{first}": sum(rank <= first for rank in found) / len(ranks) for first in FIRSTS}
    return recall | {"mrr": sum(1 / rank for rank in found) / len(ranks)}


def _say(row: Mapping[str, Any]) -> None:
    figures = "; ".join(f"{name} " + " / ".join(f"{row[way][name]:.3f}" for way in WAYS) for name in row["words"])
    print(
        f"{row['corpus']:8} {row['wording']:11} n={row['n']:2}  (words / both / reciprocal ranks)  {figures}",
        flush=True,
    )


@dataclass(frozen=True)
class Outcome:
    """Way -> the rank of the first passage with the answer, from 1; None where the first ten have none."""

    ranks: Mapping[str, int | None]
    seconds: tuple[float, float]


@dataclass
class Desk:
    """One corpus, parsed, indexed and embedded as memory does it."""

    index: SearchIndex
    vectors: Vectors

    async def add(self, corpus: Corpus) -> dict[str, Any]:
        self.index.watermark("benchmark")
        stored = []
        for name, data in corpus.files.items():
            document = extract(data, kind=KINDS[Path(name).suffix], name=name)
            stored.append((StoredText(document.sha256, document.title, document.text, cut(document)), name))
        self.index.put_texts([text.sha256 for text, _ in stored], [text for text, _ in stored])
        self.index.put_members("corpus", [(text.sha256, name) for text, name in stored])
        began = time.monotonic()
        count = sum([await self.vectors.add(text) for text, _ in stored])
        return {"documents": len(stored), "passages": count, "embedding_s": time.monotonic() - began}

    async def found(self, question: str, answer: str) -> Outcome:
        """As the researcher asks: by the content words of a question, and the vector of all of it."""
        query = queries(question)[0]
        search = Search(corpora=("corpus",), query=query, meaning=question, limit=FIRSTS[-1])
        began = time.monotonic()
        words = self.index.search(query, corpora=search.corpora, limit=POOL)
        between = time.monotonic()
        near = await self.vectors.near(search)
        both = hybrid(self.index, search, near)
        seconds = (between - began, time.monotonic() - between)
        ways = {"words": words, "both": both, "ranks": self._by_ranks(words, near)}
        return Outcome({way: _rank(passages, answer) for way, passages in ways.items()}, seconds)

    def _by_ranks(self, words: Sequence[Passage], near: Near) -> list[Passage]:
        scores: dict[Key, float] = {}
        for ranking in ([(passage.sha256, passage.position) for passage in words], [key for key, _ in near.ranking]):
            for rank, key in enumerate(ranking, start=1):
                scores[key] = scores.get(key, 0.0) + 1 / (K + rank)
        return self.index.passages(sorted(scores, key=lambda key: -scores[key])[: FIRSTS[-1]], corpora=("corpus",))


def _rank(passages: Sequence[Passage], answer: str) -> int | None:
    first = enumerate(passages[: FIRSTS[-1]], start=1)
    return next((rank for rank, passage in first if plain(answer) in plain(passage.text)), None)


if __name__ == "__main__":
    raise SystemExit(main())
