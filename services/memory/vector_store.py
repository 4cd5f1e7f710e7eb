"""Vectors of passages in the database, by text, model and position. A text's are used once all of them are there."""

from array import array
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, exists, func, select

from services.memory.store import LibraryStore
from services.memory.tables import embedded, members, pages, put, texts, vectors
from services.memory.vectors import Sketch, drawn, packed, sketch, unpacked
from shared.messaging.asyncio_engine import AsyncConnection


@dataclass(frozen=True)
class VectorStore:
    """Named questions and changes; each takes the connection. `model` is the engine's name as inference gives it."""

    library: LibraryStore

    async def pending(
        self, connection: AsyncConnection, model: str, *, limit: int, of: Collection[str] = (), without: bool = True
    ) -> list[str]:
        """Texts that a corpus holds and that are not embedded by this model, what was added last first: those that no
        corpus of `of` holds, or only those (`without` false)."""
        done = exists().where(embedded.c.text_sha256 == texts.c.sha256, embedded.c.model == model)
        held = members.c.text_sha256 == texts.c.sha256
        query = select(texts.c.sha256).where(exists().where(held), ~done)
        if of or not without:
            those = exists().where(held, members.c.corpus.in_(sorted(of)))
            query = query.where(~those if without else those)
        return list(
            (await connection.execute(query.order_by(texts.c.touched_at.desc(), texts.c.sha256).limit(limit))).scalars()
        )

    async def corpora(self, connection: AsyncConnection) -> list[str]:
        """All that hold a text."""
        return list((await connection.execute(select(members.c.corpus).distinct())).scalars())

    async def anything(self, connection: AsyncConnection) -> bool:
        """Does any corpus hold a text?"""
        return (await connection.execute(select(members.c.name).limit(1))).first() is not None

    async def next_position(self, connection: AsyncConnection, text: str, model: str) -> int:
        """Where embedding a text goes on: passages are embedded in order, so this many are done."""
        query = select(func.max(vectors.c.position)).where(vectors.c.text_sha256 == text, vectors.c.model == model)
        last = (await connection.execute(query)).scalar()
        return 0 if last is None else int(last) + 1

    async def save(
        self, connection: AsyncConnection, text: str, model: str, found: Mapping[int, Sequence[float]]
    ) -> None:
        """Vectors of passages, by position; an empty one says that this passage cannot have one. Twice is harmless."""
        rows = [
            {"passage": _name(text, n), "model": model, "text_sha256": text, "position": n, "vector": packed(vector)}
            for n, vector in sorted(found.items())
        ]
        await put(connection, vectors, rows)

    async def finish(self, connection: AsyncConnection, text: str, model: str) -> int:
        """All passages of this text are embedded: searches from the watermark returned on may use them. The text may
        have been purged in the meantime: then nothing is kept."""
        if (await connection.execute(select(texts.c.sha256).where(texts.c.sha256 == text))).first() is None:
            await connection.execute(delete(vectors).where(vectors.c.text_sha256 == text))
            return 0
        query = select(vectors.c.vector).where(vectors.c.text_sha256 == text, vectors.c.model == model)
        blobs = (await connection.execute(query.order_by(vectors.c.position))).scalars().all()
        signs = drawn([unpacked(blob) for blob in blobs])
        seq = await self.library.change(connection, [("vectors", text)])
        row = {"text_sha256": text, "model": model, "seq": seq, "passages": len(blobs), "signs": signs}
        await put(connection, embedded, [row])
        return seq

    async def ready(
        self, connection: AsyncConnection, corpora: Collection[str], model: str, *, watermark: int
    ) -> dict[str, int]:
        """Texts of these corpora whose vectors a search with this watermark may use (0: all there are now), and how
        many passages each has."""
        held = exists().where(members.c.text_sha256 == embedded.c.text_sha256, members.c.corpus.in_(sorted(corpora)))
        query = select(embedded.c.text_sha256, embedded.c.passages).where(embedded.c.model == model, held)
        if watermark:
            query = query.where(embedded.c.seq <= watermark)
        return {row.text_sha256: row.passages for row in await connection.execute(query)}

    async def sketches(self, connection: AsyncConnection, keys: Collection[str], model: str) -> dict[str, Sketch]:
        """Text -> the signs of its passages' vectors."""
        found: dict[str, Sketch] = {}
        for some in pages(keys):
            query = select(embedded).where(embedded.c.text_sha256.in_(some), embedded.c.model == model)
            for row in await connection.execute(query):
                found[row.text_sha256] = sketch(row.signs, row.passages)
        return found

    async def some(
        self, connection: AsyncConnection, keys: Sequence[tuple[str, int]], model: str
    ) -> list[tuple[tuple[str, int], "array[float]"]]:
        """The vectors of these passages, by (text, position), in the order of the keys; those that have none left
        out."""
        found: dict[str, array[float]] = {}
        names = [_name(*key) for key in keys]
        for some in pages(names):
            query = select(vectors.c.passage, vectors.c.vector)
            query = query.where(vectors.c.passage.in_(some), vectors.c.model == model)
            for passage, blob in (await connection.execute(query)).all():
                if blob:
                    found[passage] = unpacked(blob)
        return [(key, found[name]) for key, name in zip(keys, names, strict=True) if name in found]

    async def drop_others(self, connection: AsyncConnection, model: str, *, limit: int) -> int:
        """Vectors of other models than this one, of no use once it has embedded everything, and of texts that were
        purged while they were being embedded: of so many texts at a time. Returns how many; 0: nothing is left."""
        gone = ~exists().where(texts.c.sha256 == vectors.c.text_sha256)
        query = select(vectors.c.text_sha256, vectors.c.model).where((vectors.c.model != model) | gone).distinct()
        of_no_use = (await connection.execute(query.limit(limit))).all()
        for text, other in of_no_use:
            for table in (vectors, embedded):
                these = (table.c.text_sha256 == text) & (table.c.model == other)
                await connection.execute(delete(table).where(these))
        if not of_no_use:
            await connection.execute(delete(embedded).where(embedded.c.model != model))  # texts without passages
        return len(of_no_use)


def _name(text: str, position: int) -> str:
    return f"{text}/{position}"
