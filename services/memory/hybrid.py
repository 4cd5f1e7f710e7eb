"""Search by words and by meaning: bm25's ranking and that of the vectors nearest to the query, fused.

Wherever there is nothing to fuse (no model, no vectors yet, an answer too late, too many passages) words decide alone.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from services.memory.embedder import Ask, Embedder
from services.memory.fusion import fused
from services.memory.index import SearchIndex
from services.memory.vector_store import VectorStore
from services.memory.vectors import Sketch, likely, nearest
from shared.contracts.generation import Embed, Embedded
from shared.contracts.library import Passage, Search
from shared.contracts.sensitivity import as_sensitive, covered
from shared.errors import RequestFailed, WarrenError
from shared.messaging.database import Database

log = structlog.get_logger()
POOL = 50
"""Best of each ranking that are fused, unless more is asked for."""
COMPARED = 1000
"""Passages that are compared in full, those with the likeliest signs: of 2,666 real ones, 400 held 98 % of the nearest
50 and all of the nearest, 800 held 99.7 %."""
MAX_VECTORS = 200_000
"""Passages whose signs a process keeps and looks through: 20 MB at 384 dimensions."""
AWAY_S = 30.0
"""After a query could not be embedded in time the next ones do not wait for it, so long."""
Key = tuple[str, int]
"""A passage: sha256 of its text, position in it."""


@dataclass(frozen=True)
class Near:
    """The passages nearest to a query by the vectors of `engine`, with their cosines, best first."""

    engine: str
    ranking: Sequence[tuple[Key, float]]


@dataclass
class VectorSearch:
    """Keeps the signs of what is searched in memory. `wait_s`: how long a search waits for its query's vector."""

    database: Database
    store: VectorStore
    embedder: Embedder
    ask: Ask
    wait_s: float
    max_vectors: int = MAX_VECTORS
    _held: dict[str, Sketch] = field(default_factory=dict)
    _engine: str = ""
    _away_until: float = float("-inf")

    async def near(self, search: Search) -> Near | None:
        """None where words have to decide alone. The watermark fixes which vectors count: a goal's search that is asked
        again sees no others than the first time."""
        engine = self.embedder.engine
        if engine is None or time.monotonic() < self._away_until:
            return None
        sketches = await self._sketches(search, engine)
        if not sketches:
            return None
        if covered(self.embedder.restricted, search.corpora):
            search = as_sensitive(search, "restricted")
        query = await self._embedded(search, engine)
        if query is None:
            return None
        found = await asyncio.to_thread(likely, query, sketches, limit=max(COMPARED, search.limit))
        async with self.database.read() as connection:
            vectors = await self.store.some(connection, found, engine)
        ranking = await asyncio.to_thread(nearest, query, vectors, limit=max(POOL, search.limit))
        return Near(engine, ranking) if ranking else None

    async def _sketches(self, search: Search, engine: str) -> list[tuple[str, Sketch]]:
        """Of the texts that this search may look through by vectors; empty when there are none, or too many."""
        if engine != self._engine:
            self._held, self._engine = {}, engine
        async with self.database.read() as connection:
            ready = await self.store.ready(connection, search.corpora, engine, watermark=search.watermark)
            if (count := sum(ready.values())) > self.max_vectors:
                log.info("too_many_vectors", passages=count, most=self.max_vectors)
                return []
            missing = ready.keys() - self._held.keys()
            loaded = await self.store.sketches(connection, missing, engine) if missing else {}
        self._hold(ready, loaded)
        return [(key, self._held[key]) for key in sorted(ready) if key in self._held]

    def _hold(self, ready: Mapping[str, int], loaded: Mapping[str, Sketch]) -> None:
        """When it gets too much, only this search's are kept."""
        if sum(len(one.signs) for some in (self._held, loaded) for one in some.values()) > self.max_vectors:
            self._held = {key: one for key, one in self._held.items() if key in ready}
        self._held |= loaded

    async def _embedded(self, search: Search, engine: str) -> Sequence[float] | None:
        wanted = Embed(texts=(search.meaning or search.query,), sensitivity=search.sensitivity)
        try:
            answer = await self.ask(wanted, Embedded, deadline_s=self.wait_s)
        except WarrenError as error:
            if isinstance(error, RequestFailed) and error.kind == "no_embedder" and search.sensitivity == "restricted":
                return None  # no trouble, and none for searches that may go elsewhere
            self._away_until = time.monotonic() + AWAY_S
            log.warning("searched_by_words_alone", reason=str(error))
            return None
        if search.sensitivity != "restricted":  # a local host may have another model than all of them together
            self.embedder.named(answer.engine)
        return answer.vectors[0] if answer.engine == engine and answer.vectors[0] else None


def hybrid(index: SearchIndex, search: Search, near: Near) -> list[Passage]:
    """The passages of these corpora that words and vectors together rank best; `score` is the fused one."""
    words = index.search(search.query, corpora=search.corpora, limit=max(POOL, search.limit))
    known: dict[Key, Passage] = {(passage.sha256, passage.position): passage for passage in words}
    more = [key for key, _ in near.ranking if key not in known]
    by_words = [(key, passage.score) for key, passage in known.items()]
    known |= {(passage.sha256, passage.position): passage for passage in index.passages(more, corpora=search.corpora)}
    there = [(key, cosine) for key, cosine in near.ranking if key in known]
    ranked = fused(by_words, there, most=index.most(search.query))[: search.limit]
    return [known[key].model_copy(update={"score": score}) for key, score in ranked]
