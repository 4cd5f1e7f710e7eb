"""`make quality [SEEDS=3] [SEED=N]`: the figures of seeded corpora and of the gate, in words and as JSON."""

import argparse
import asyncio
import json
import sys
import tempfile
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from services.inference.ollama_client import OllamaHost
from tests.quality.author import ModelAuthor
from tests.quality.figures import Figures, figures
from tests.quality.gate import judged
from tests.quality.vectors import Vectors


def main() -> int:
    """0: all goals are met, 1: one is not (it is named)."""
    parser = argparse.ArgumentParser(prog="python -m tests.quality", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="how many corpora (default 3)")
    parser.add_argument("--seed", type=int, default=int(datetime.now(UTC).strftime("%Y%m%d")), help="the first seed")
    parser.add_argument("--json", action="store_true", help="JSON on stdout instead of lines")
    parser.add_argument("--ollama", metavar="URL", help="search by words and vectors: a host that has the model")
    parser.add_argument("--model", default="all-minilm", help="an embedding model (default all-minilm)")
    parser.add_argument(
        "--writer", metavar="MODEL", help="reports by this model of the host, beside those without (minutes a corpus)"
    )
    options = parser.parse_args()
    if not 1 <= options.seeds <= 1000:
        parser.error("--seeds: 1 to 1000")
    if options.writer and not options.ollama:
        parser.error("--writer: name the host that has it with --ollama")
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for seed in range(options.seed, options.seed + options.seeds):
            found += asyncio.run(_figures(seed, Path(folder), options))
    gate = judged()
    if options.json:
        print(json.dumps({"corpora": [f.as_dict() for f in found], "gate": asdict(gate)}, ensure_ascii=False))
    else:
        print(gate.line())
        for text in (text for each in found for text in each.missed):
            print(f"  missed  {text}")
    problems = [problem for each in (*found, gate) for problem in each.problems()]
    for problem in problems:
        print(f"quality: {problem}", file=sys.stderr)
    return 1 if problems else 0


async def _figures(seed: int, folder: Path, options: argparse.Namespace) -> list[Figures]:
    """Without a model that writes, and with it, where one is named."""
    if options.ollama is None:
        return [_told(await figures(seed, folder), options)]
    host = OllamaHost(options.ollama)
    try:
        if options.writer is None:
            return [_told(await figures(seed, folder, vectors=Vectors(host, options.model)), options)]
        without = _told(await figures(seed, folder), options)
        author = ModelAuthor(host, options.writer)
        written = replace(await figures(seed, folder, author=author), wanted=without.facts)
        _told(written, options, by=author)
        return [without, written]
    finally:
        await host.close()


def _told(found: Figures, options: argparse.Namespace, *, by: ModelAuthor | None = None) -> Figures:
    if not options.json:
        print(found.line() + (f"; by {by.line()}" if by else ""), flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
