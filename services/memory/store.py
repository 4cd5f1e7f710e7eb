"""The library in the database: texts, corpora, and the sequence of changes that indexes follow."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import and_, bindparam, delete, exists, func, select, update

from services.memory.extract import PARSER
from services.memory.parsers import Parsed, Unparsed
from services.memory.passages import Cut
from services.memory.tables import (
    changes,
    corpora,
    embedded,
    findings,
    library_clock,
    members,
    pages,
    parses,
    pins,
    put,
    texts,
    vectors,
)  # fmt: skip
from services.memory.transfer import Known, Member
from shared.contracts.library import CorpusView
from shared.messaging.asyncio_engine import AsyncConnection

AGAIN_S = 3600.0
"""A file whose parsing took too long or too much memory is tried again when it is offered an hour later."""
REASONS_KEPT_S = 30 * 86400.0
CHANGES_KEPT = 1000
MAX_CHANGES = 400
"""Changes read at once; no transaction makes more of the kind that has to be read together."""


@dataclass(frozen=True)
class Change:
    """`kind`: text, vectors, corpus or findings; `key`: its hash, name, or `namespace/goal id`."""

    seq: int
    kind: str
    key: str


@dataclass(frozen=True)
class StoredText:
    """A text with its passages, as an index needs it."""

    sha256: str
    title: str
    text: str
    cuts: tuple[Cut, ...]


# Asked for all the time, and built once: that costs more than running them.
_CLOCK = select(library_clock.c.seq, library_clock.c.library)
_CHANGES = select(changes.c.seq, changes.c.kind, changes.c.key)
_NEXT_CHANGES = _CHANGES.where(changes.c.seq > bindparam("after")).order_by(changes.c.seq).limit(bindparam("most"))


@dataclass(frozen=True)
class LibraryStore:
    """Named questions and changes; each takes the connection, so that many are one transaction."""

    async def watermark(self, connection: AsyncConnection) -> tuple[int, str]:
        """(number of the newest change, id of this library)."""
        row = (await connection.execute(_CLOCK)).first()
        return (row.seq, row.library) if row else (0, "")

    async def change(self, connection: AsyncConnection, keys: Collection[tuple[str, str]]) -> int:
        """Records that these (kind, key) changed; returns the new watermark. Holds the clock until the commit: call it
        last. Twice is harmless."""
        bump = update(library_clock).values(seq=library_clock.c.seq + 1).returning(library_clock.c.seq)
        seq = (await connection.execute(bump)).scalar()
        if seq is None:
            await put(connection, library_clock, [{"id": 1, "seq": 0, "library": str(uuid4())}])
            seq = (await connection.execute(bump)).scalar_one()
        rows = [{"kind": kind, "key": key, "seq": seq} for kind, key in sorted(keys)]
        await put(connection, changes, rows, replace=("seq",))
        return int(seq)

    async def changes_after(self, connection: AsyncConnection, seq: int) -> list[Change]:
        """The next changes in order, whole transactions only; empty when there are none."""
        rows = (await connection.execute(_NEXT_CHANGES, {"after": seq, "most": MAX_CHANGES})).all()
        if len(rows) == MAX_CHANGES:
            whole = [row for row in rows if row.seq < rows[-1].seq]
            if not whole:
                everything = _CHANGES.where(changes.c.seq == rows[0].seq)
                whole = list((await connection.execute(everything)).all())
            rows = whole
        return [Change(row.seq, row.kind, row.key) for row in rows]

    async def known(
        self, connection: AsyncConnection, raw: Collection[str], *, now: float
    ) -> dict[tuple[str, str], Known]:
        """(raw sha256, kind) -> what this version of the parsers made of it, where that still holds."""
        found: dict[tuple[str, str], Known] = {}
        for keys in pages(raw):
            query = (
                select(parses, texts.c.sha256.label("stored"))
                .outerjoin(texts, texts.c.sha256 == parses.c.text_sha256)
                .where(parses.c.raw_sha256.in_(keys), parses.c.parser == PARSER)
            )
            for row in await connection.execute(query):
                lost = row.text_sha256 is not None and row.stored is None
                if not lost and not (row.again_at is not None and row.again_at <= now):
                    found[row.raw_sha256, row.kind] = Known(row.text_sha256, row.reason)
        return found

    async def save(
        self,
        connection: AsyncConnection,
        outcomes: Sequence[tuple[str, str, Parsed | Unparsed]],
        *,
        now: float,
    ) -> None:
        """What parsing made of (raw sha256, kind). Twice is harmless."""
        found = {o.document.sha256: o for _, _, o in outcomes if isinstance(o, Parsed)}
        await put(connection, texts, [_text_row(found[key], now=now) for key in sorted(found)], replace=("touched_at",))
        rows = [_parse_row(raw, kind, outcome, now=now) for raw, kind, outcome in outcomes]
        await put(connection, parses, rows, replace=("text_sha256", "reason", "again_at", "at"))
        if found:
            await self.change(connection, [("text", key) for key in found])

    async def touch(self, connection: AsyncConnection, keys: Collection[str], *, now: float) -> None:
        """These texts are wanted: they are not purged for a while, corpus or not."""
        for some in pages(keys):
            await connection.execute(update(texts).where(texts.c.sha256.in_(some)).values(touched_at=now))

    async def stored(self, connection: AsyncConnection, keys: Collection[str]) -> list[StoredText]:
        found = []
        for some in pages(keys):
            for row in await connection.execute(select(texts).where(texts.c.sha256.in_(some))):
                cuts = tuple(Cut(*piece) for piece in json.loads(row.cuts))
                found.append(StoredText(row.sha256, row.title, row.text, cuts))
        return found

    async def sizes(self, connection: AsyncConnection, keys: Collection[str]) -> dict[str, int]:
        """sha256 -> characters, of those that are stored."""
        found: dict[str, int] = {}
        for some in pages(keys):
            query = select(texts.c.sha256, texts.c.characters).where(texts.c.sha256.in_(some))
            found.update((row.sha256, row.characters) for row in await connection.execute(query))
        return found

    async def read(self, connection: AsyncConnection, sha256: str, *, start: int, end: int) -> str | None:
        """`text[start:end]`, cut by the database; None when there is no such text or it ends before `end`."""
        piece = func.substr(texts.c.text, start + 1, max(0, end - start))
        reaches = and_(texts.c.sha256 == sha256, texts.c.characters >= end)
        row = (await connection.execute(select(piece.label("piece")).where(reaches))).first()
        return None if row is None else row.piece or ""

    async def members(self, connection: AsyncConnection, corpus: str) -> dict[str, Member]:
        """name -> file, of one corpus."""
        query = select(members).where(members.c.corpus == corpus).order_by(members.c.name)
        return {row.name: Member(row.name, row.raw_sha256, row.text_sha256) for row in await connection.execute(query)}

    async def set_members(
        self,
        connection: AsyncConnection,
        corpus: str,
        *,
        put_in: Sequence[Member],
        take_out: Collection[str],
        now: float,
    ) -> int:
        """Changes what a corpus consists of; returns the watermark from which on it does."""
        await put(connection, corpora, [{"name": corpus}])
        gone: set[str] = set()
        for names in pages(take_out):
            these = (members.c.corpus == corpus) & members.c.name.in_(names)
            gone.update((await connection.execute(select(members.c.text_sha256).where(these))).scalars())
            await connection.execute(delete(members).where(these))
        await self.touch(connection, gone | {member.text_sha256 for member in put_in}, now=now)
        rows = [
            {"corpus": corpus, "name": m.name, "raw_sha256": m.raw_sha256, "text_sha256": m.text_sha256} for m in put_in
        ]
        await put(connection, members, rows, replace=("raw_sha256", "text_sha256"))
        return await self.change(connection, [("corpus", corpus)])

    async def remove_corpus(self, connection: AsyncConnection, corpus: str, *, now: float) -> int:
        """Forgets a corpus; returns how many documents it had."""
        held = await self.members(connection, corpus)
        await self.touch(connection, {member.text_sha256 for member in held.values()}, now=now)
        await connection.execute(delete(members).where(members.c.corpus == corpus))
        await connection.execute(delete(corpora).where(corpora.c.name == corpus))
        await self.change(connection, [("corpus", corpus)])
        return len(held)

    async def existing(self, connection: AsyncConnection, names: Collection[str]) -> set[str]:
        query = select(corpora.c.name).where(corpora.c.name.in_(sorted(names)))
        return set((await connection.execute(query)).scalars())

    async def corpora(self, connection: AsyncConnection) -> list[CorpusView]:
        query = (
            select(corpora.c.name, func.count(members.c.name).label("documents"),
                   func.coalesce(func.sum(texts.c.passages), 0).label("passages"),
                   func.coalesce(func.sum(texts.c.characters), 0).label("characters"))
            .outerjoin(members, members.c.corpus == corpora.c.name)
            .outerjoin(texts, texts.c.sha256 == members.c.text_sha256)
            .group_by(corpora.c.name).order_by(corpora.c.name)
        )  # fmt: skip
        return [
            CorpusView(name=r.name, documents=r.documents, passages=int(r.passages), characters=int(r.characters))
            for r in await connection.execute(query)
        ]

    async def sources(
        self, connection: AsyncConnection, names: Sequence[str], keys: Collection[str]
    ) -> Mapping[str, str]:
        """text sha256 -> the name under which the first of these corpora holds it."""
        found: dict[str, str] = {}
        for some in pages(keys):
            query = select(members).where(members.c.text_sha256.in_(some), members.c.corpus.in_(list(names)))
            rows = list(await connection.execute(query))
            for row in sorted(rows, key=lambda row: (names.index(row.corpus), row.name)):
                found.setdefault(row.text_sha256, row.name)
        return found

    async def purge(self, connection: AsyncConnection, *, before: float, limit: int = 200) -> int:
        """Drops texts that no corpus holds, no finding cites, and nobody wanted since `before`; returns how many.

        Beside them goes what is only kept for what is gone: reasons of files, and changes that any index has seen.
        """
        unused = select(texts.c.sha256).where(
            texts.c.touched_at < before,
            ~exists().where(members.c.text_sha256 == texts.c.sha256),
            ~exists().where(pins.c.text_sha256 == texts.c.sha256),
        )
        keys = list((await connection.execute(unused.limit(limit))).scalars())
        await connection.execute(
            delete(parses).where(parses.c.text_sha256.is_(None), parses.c.at < before - REASONS_KEPT_S)
        )
        await self._purge_changes(connection)
        if keys:
            await connection.execute(delete(parses).where(parses.c.text_sha256.in_(keys)))
            await connection.execute(delete(texts).where(texts.c.sha256.in_(keys)))
            await connection.execute(delete(vectors).where(vectors.c.text_sha256.in_(keys)))
            await connection.execute(delete(embedded).where(embedded.c.text_sha256.in_(keys)))
            await self.change(connection, [("text", key) for key in keys])
        return len(keys)

    async def _purge_changes(self, connection: AsyncConnection) -> None:
        """Of texts and findings that are gone. An index that has not seen them by now keeps words that no corpus
        leads to; removed corpora stay on the list, a name each."""
        old = changes.c.seq < (await self.watermark(connection))[0] - CHANGES_KEPT
        text_gone = and_(changes.c.kind.in_(("text", "vectors")), ~exists().where(texts.c.sha256 == changes.c.key))
        await connection.execute(delete(changes).where(old, text_gone))
        told = select(changes.c.key).where(old, changes.c.kind == "findings")
        # by goal id, which has an index: comparing each with each put together took minutes for ten thousand goals
        for some in pages((await connection.execute(told)).scalars().all()):
            goals = {key.partition("/")[2] for key in some}
            of_these = select(findings.c.namespace, findings.c.goal_id).where(findings.c.goal_id.in_(goals)).distinct()
            left = {f"{row.namespace}/{row.goal_id}" for row in await connection.execute(of_these)}
            gone = [key for key in some if key not in left]
            if gone:
                is_gone = and_(changes.c.kind == "findings", changes.c.key.in_(gone))
                await connection.execute(delete(changes).where(old, is_gone))


def _text_row(parsed: Parsed, *, now: float) -> dict[str, Any]:
    document = parsed.document
    return {
        "sha256": document.sha256,
        "title": document.title,
        "text": document.text,
        "characters": len(document.text),
        "passages": len(parsed.cuts),
        "cuts": json.dumps([[cut.start, cut.end, cut.page, cut.heading] for cut in parsed.cuts]),
        "touched_at": now,
    }


def _parse_row(raw: str, kind: str, outcome: Parsed | Unparsed, *, now: float) -> dict[str, Any]:
    row: dict[str, Any] = {"raw_sha256": raw, "kind": kind, "parser": PARSER, "at": now}
    if isinstance(outcome, Parsed):
        return row | {"text_sha256": outcome.document.sha256, "reason": None, "again_at": None}
    return row | {"text_sha256": None, "reason": outcome.reason, "again_at": now + AGAIN_S if outcome.passing else None}
