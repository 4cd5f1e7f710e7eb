"""How long a search by words and vectors takes in a large library, and what it keeps in memory: no model is needed.

    benchmarks/search --scale 20000

Memory's own database (SQLite), index, sifting and fusion; the texts are made of made words, ten passages each, and the
vectors are random ones in clusters, since only their number counts here. The query's own vector is there at once.
"""

import random
import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.memory.blocks import Document
from services.memory.embedder import Embedder
from services.memory.finding_store import FindingStore
from services.memory.follow import Follower
from services.memory.hybrid import VectorSearch, hybrid
from services.memory.index import SearchIndex
from services.memory.parsers import Parsed
from services.memory.passages import Cut
from services.memory.store import LibraryStore
from services.memory.tables import schema
from services.memory.transfer import Member
from services.memory.vector_store import VectorStore
from shared.contracts.generation import Embed, Embedded
from shared.contracts.library import Search
from shared.messaging.database import Database
from shared.messaging.envelope import Outgoing
from shared.messaging.publish import Stamp

DIMENSIONS = 384
PER_TEXT = 10
WORDS = 120
QUERIES = 30
ENGINE = "random"


@dataclass
class _Vectors:
    """Random vectors in fifty clusters, of length 1."""

    random: random.Random

    def __post_init__(self) -> None:
        self.centres = [[self.random.gauss(0, 1) for _ in range(DIMENSIONS)] for _ in range(50)]

    def one(self) -> tuple[float, ...]:
        centre = self.random.choice(self.centres)
        vector = [x + self.random.gauss(0, 1) for x in centre]
        length = sum(x * x for x in vector) ** 0.5
        return tuple(x / length for x in vector)

    async def ask(self, command: Embed, reply: type[Embedded], *, deadline_s: float) -> Embedded:
        return Embedded(engine=ENGINE, vectors=tuple(self.one() for _ in command.texts))


async def measure_scale(passages: int) -> dict[str, Any]:
    """Milliseconds of a search by words and by both (p50, slowest, first), and what the process grew by in MB."""
    r = random.Random(7)
    vocabulary = [f"{r.choice('bdfgklmnprst')}{n:x}{r.choice('aeiou')}" for n in range(5000)]
    made = _Vectors(r)
    with tempfile.TemporaryDirectory(prefix="warren-scale-") as folder:
        url = f"sqlite+aiosqlite:///{folder}/memory.db"
        database = Database(url, schema(), stamp=Stamp("memory", "memory-1"))
        await database.open(_nowhere)
        library, index = LibraryStore(), SearchIndex(Path(folder) / "index.db")
        store = VectorStore(library)
        for at in range(0, passages // PER_TEXT, 100):
            await _add(
                database, store, [_text(vocabulary, r) for _ in range(at, min(at + 100, passages // PER_TEXT))], made
            )
        follower = Follower(database, library, FindingStore(), index, wait_s=600)
        await follower.catch_up()
        async with database.read() as connection:
            held = await store.ready(connection, ["corpus"], ENGINE, watermark=0)
        assert sum(held.values()) == passages, f"{sum(held.values())} passages instead of {passages}"
        embedder = Embedder(database, library, store, made.ask, changed=follower.changed, engine=ENGINE)
        before = _mb()
        near = VectorSearch(database, store, embedder, made.ask, wait_s=10)
        words, both = [], []
        for _ in range(QUERIES):
            search = Search(corpora=("corpus",), query=" ".join(r.sample(vocabulary, 6)), limit=20)
            began = time.perf_counter()
            await follower.ask(lambda index, s=search: index.search(s.query, corpora=s.corpora, limit=s.limit))
            between = time.perf_counter()
            found = await near.near(search)
            assert found is not None, "searched by words alone"
            await follower.ask(lambda index, s=search, n=found: hybrid(index, s, n))
            words.append(between - began)
            both.append(time.perf_counter() - between)
        grown = _mb() - before
        index.close()
        await database.close()
    return {"passages": passages, "words": _figures(words), "both": _figures(both), "grown_mb": grown}


def line(result: dict[str, Any]) -> str:
    words, both = result["words"], result["both"]
    return (
        f"{result['passages']:,} passages: words {words['p50']:.0f} ms (slowest {words['slowest']:.0f}), "
        f"both {both['p50']:.0f} ms (slowest {both['slowest']:.0f}; the first, which loads the signs, "
        f"{both['first']:.0f}); the process grew by {result['grown_mb']:.0f} MB"
    )


def _figures(seconds: Sequence[float]) -> dict[str, float]:
    first, *rest = (s * 1000 for s in seconds)
    return {"first": first, "p50": sorted(rest)[len(rest) // 2], "slowest": max(rest)}


def _text(vocabulary: Sequence[str], r: random.Random) -> Parsed:
    parts = [" ".join(r.choices(vocabulary, k=WORDS)) for _ in range(PER_TEXT)]
    text = "\n".join(parts)
    ends = [sum(len(part) + 1 for part in parts[: n + 1]) - 1 for n in range(PER_TEXT)]
    cuts = tuple(Cut(end - len(part), end) for part, end in zip(parts, ends, strict=True))
    return Parsed(Document("made", text), cuts)


async def _add(database: Database, store: VectorStore, parsed: Sequence[Parsed], made: _Vectors) -> None:
    async with database.unit(long=True) as unit:
        now = time.time()
        await store.library.save(unit.connection, [(p.document.sha256, "txt", p) for p in parsed], now=now)
        keys = [p.document.sha256 for p in parsed]
        await store.library.set_members(
            unit.connection, "corpus", put_in=[Member(key, key, key) for key in keys], take_out=(), now=now
        )
        for key in keys:
            await store.save(unit.connection, key, ENGINE, {n: made.one() for n in range(PER_TEXT)})
            await store.finish(unit.connection, key, ENGINE)


def _mb() -> float:
    """The most that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def _nowhere(out: Outgoing) -> None:
    raise AssertionError(f"nothing is published here: {out.type}")
