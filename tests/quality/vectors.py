"""Vectors of a corpus held in one process: sifted and compared as memory does it, embedded by a real Ollama."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.inference.embedding import Batcher
from services.inference.ollama_client import OllamaHost
from services.memory.embedder import BATCH, passage_texts
from services.memory.hybrid import COMPARED, POOL, Near
from services.memory.store import StoredText
from services.memory.vectors import Sketch, drawn, likely, nearest, sketch
from shared.contracts.library import Search

Key = tuple[str, int]


@dataclass
class Vectors:
    """`host` has `model`, one that embeds."""

    host: OllamaHost
    model: str
    _by_key: dict[Key, Sequence[float]] = field(default_factory=dict)
    _sketches: list[tuple[str, Sketch]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._batcher = Batcher(self._ask)

    async def _ask(self, texts: Sequence[str]) -> tuple[str, list[tuple[float, ...]]]:
        return f"ollama/{self.model}", await self.host.embed(self.model, texts)

    async def add(self, stored: StoredText) -> int:
        """Embeds the passages of a text; returns how many it has."""
        texts = passage_texts(stored)
        found: list[Sequence[float]] = []
        for at in range(0, len(texts), BATCH):
            found += (await self._batcher.embed(texts[at : at + BATCH])).vectors
        self._by_key |= {(stored.sha256, n): vector for n, vector in enumerate(found)}
        self._sketches.append((stored.sha256, sketch(drawn(found), len(found))))
        return len(found)

    async def near(self, search: Search) -> Near:
        (vector,) = (await self._batcher.embed([search.meaning or search.query])).vectors
        keys = likely(vector, self._sketches, limit=COMPARED)
        return Near(self.model, nearest(vector, [(key, self._by_key[key]) for key in keys], limit=POOL))
