"""Transfers in the database: what was offered, the chunks that arrived, who waits for the end."""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import and_, delete, func, or_, select, update

from services.memory.tables import chunks, pages, put, transfer_files, transfer_parts, transfers, waiters
from shared.contracts.library import OfferDocuments, OfferedFile
from shared.messaging.asyncio_engine import AsyncConnection
from shared.messaging.envelope import Envelope


@dataclass(frozen=True)
class Transfer:
    """`state`: offered, finishing (the job runs or waits), done, failed. `result`: the final answer's JSON."""

    transfer_id: str
    corpus: str
    replace: bool
    parts: int
    state: str
    result: str | None = None
    attempts: int = 0


@dataclass(frozen=True)
class TransferStore:
    """Named questions and changes; each takes the connection, so that many are one transaction."""

    async def load(self, connection: AsyncConnection, transfer_id: str) -> Transfer | None:
        row = (await connection.execute(select(transfers).where(transfers.c.transfer_id == transfer_id))).first()
        if row is None:
            return None
        return Transfer(row.transfer_id, row.corpus, row.replace, row.parts, row.state, row.result, row.attempts)

    async def offer(self, connection: AsyncConnection, offer: OfferDocuments, *, now: float) -> None:
        """Stores one part of an offer. An offer to a transfer that has ended begins it anew."""
        known = await self.load(connection, offer.transfer_id)
        if known is not None and known.state == "finishing":
            return
        if known is not None and known.state != "offered":
            await self._forget(connection, [offer.transfer_id])
        of_part = and_(transfer_files.c.transfer_id == offer.transfer_id, transfer_files.c.part == offer.part)
        await connection.execute(delete(transfer_files).where(of_part))
        head = {
            "transfer_id": offer.transfer_id, "corpus": offer.corpus, "replace": offer.replace, "parts": offer.parts,
            "state": "offered", "attempts": 0, "updated_at": now,
        }  # fmt: skip
        await put(connection, transfers, [head], replace=("corpus", "replace", "parts", "updated_at"))
        await put(connection, transfer_parts, [{"transfer_id": offer.transfer_id, "part": offer.part}])
        rows = [
            {"transfer_id": offer.transfer_id, "name": file.name, "part": offer.part, "raw_sha256": file.sha256,
             "size": file.size}
            for file in {file.name: file for file in offer.files}.values()
        ]  # fmt: skip
        await put(connection, transfer_files, rows, replace=("part", "raw_sha256", "size"))

    async def files(self, connection: AsyncConnection, transfer_id: str) -> list[OfferedFile]:
        """Everything that was offered, by name."""
        query = select(transfer_files).where(transfer_files.c.transfer_id == transfer_id)
        rows = await connection.execute(query.order_by(transfer_files.c.name))
        return [OfferedFile(name=row.name, sha256=row.raw_sha256, size=row.size) for row in rows]

    async def missing_parts(self, connection: AsyncConnection, transfer: Transfer) -> list[int]:
        query = select(transfer_parts.c.part).where(transfer_parts.c.transfer_id == transfer.transfer_id)
        arrived = set((await connection.execute(query)).scalars())
        return [part for part in range(1, transfer.parts + 1) if part not in arrived]

    async def size_of(self, connection: AsyncConnection, transfer_id: str, raw: str) -> int | None:
        """Bytes of an offered file; None when the transfer does not know it."""
        query = select(transfer_files.c.size).where(
            transfer_files.c.transfer_id == transfer_id, transfer_files.c.raw_sha256 == raw
        )
        return (await connection.execute(query.limit(1))).scalar()

    async def put_chunk(
        self, connection: AsyncConnection, raw: str, *, number: int, count: int, data: bytes, now: float
    ) -> None:
        """Stores a chunk. Chunks cut otherwise before (another count) are dropped: they do not fit together."""
        await connection.execute(delete(chunks).where(chunks.c.raw_sha256 == raw, chunks.c.count != count))
        row = {"raw_sha256": raw, "number": number, "count": count, "data": data, "at": now}
        await put(connection, chunks, [row], replace=("data", "at"))

    async def arrived(
        self, connection: AsyncConnection, raw: Collection[str]
    ) -> dict[str, tuple[tuple[int, ...], int]]:
        """raw sha256 -> (numbers of the chunks that are here, how many there are in all)."""
        found: dict[str, list[int]] = {}
        counts: dict[str, int] = {}
        for keys in pages(raw):
            query = select(chunks.c.raw_sha256, chunks.c.number, chunks.c.count.label("whole")).where(
                chunks.c.raw_sha256.in_(keys)
            )
            for row in await connection.execute(query):
                found.setdefault(row.raw_sha256, []).append(row.number)
                counts[row.raw_sha256] = row.whole
        return {key: (tuple(sorted(numbers)), counts[key]) for key, numbers in found.items()}

    async def complete(self, connection: AsyncConnection, raw: Collection[str]) -> set[str]:
        """Those of these files of which every chunk is here."""
        return {key for key, (numbers, count) in (await self.arrived(connection, raw)).items() if len(numbers) == count}

    async def bytes_of(self, connection: AsyncConnection, raw: str) -> bytes:
        """The file as far as it is here."""
        query = select(chunks.c.data).where(chunks.c.raw_sha256 == raw).order_by(chunks.c.number)
        return b"".join((await connection.execute(query)).scalars())

    async def drop_chunks(self, connection: AsyncConnection, raw: Collection[str]) -> None:
        for keys in pages(raw):
            await connection.execute(delete(chunks).where(chunks.c.raw_sha256.in_(keys)))

    async def finish(self, connection: AsyncConnection, transfer_id: str, *, request: Envelope, now: float) -> None:
        """Marks the transfer for the job and remembers who asked."""
        await connection.execute(
            update(transfers).where(transfers.c.transfer_id == transfer_id).values(state="finishing", updated_at=now)
        )
        if request.reply_to:
            row = {
                "transfer_id": transfer_id,
                "message_id": request.message_id,
                "envelope": json.dumps(asdict(request)),
            }
            await put(connection, waiters, [row], replace=("envelope",))

    async def claim(self, connection: AsyncConnection, worker: str, *, now: float, until: float) -> Transfer | None:
        """Takes the oldest job that nobody works on (or that this worker had before it died)."""
        free = or_(transfers.c.worker.is_(None), transfers.c.worker == worker, transfers.c.lease_until < now)
        query = select(transfers.c.transfer_id).where(transfers.c.state == "finishing", free)
        found = (await connection.execute(query.order_by(transfers.c.updated_at).limit(1))).scalar()
        if found is None or not await self._take(connection, found, worker, now=now, until=until):
            return None
        return await self.load(connection, found)

    async def _take(
        self, connection: AsyncConnection, transfer_id: str, worker: str, *, now: float, until: float
    ) -> bool:
        free = or_(transfers.c.worker.is_(None), transfers.c.worker == worker, transfers.c.lease_until < now)
        taken = await connection.execute(
            update(transfers)
            .where(transfers.c.transfer_id == transfer_id, transfers.c.state == "finishing", free)
            .values(worker=worker, lease_until=until)
        )
        return taken.rowcount == 1

    async def renew(
        self, connection: AsyncConnection, transfer_id: str, worker: str, *, now: float, until: float
    ) -> bool:
        """False when another worker has it by now."""
        mine = and_(transfers.c.transfer_id == transfer_id, transfers.c.worker == worker)
        kept = await connection.execute(
            update(transfers).where(mine, transfers.c.state == "finishing").values(lease_until=until, updated_at=now)
        )
        return kept.rowcount == 1

    async def failed_once(self, connection: AsyncConnection, transfer_id: str, *, until: float) -> int:
        """Counts a failure of the job and keeps everybody off it until then; returns how often it has failed."""
        counted = (
            update(transfers)
            .where(transfers.c.transfer_id == transfer_id)
            .values(attempts=transfers.c.attempts + 1, worker="resting", lease_until=until)
            .returning(transfers.c.attempts)
        )
        return (await connection.execute(counted)).scalar() or 0

    async def end(
        self, connection: AsyncConnection, transfer_id: str, *, state: str, result: str, now: float
    ) -> list[Envelope]:
        """Keeps the result; returns the requests that wait for it, once."""
        await connection.execute(
            update(transfers)
            .where(transfers.c.transfer_id == transfer_id)
            .values(state=state, result=result, worker=None, lease_until=None, updated_at=now)
        )
        query = select(waiters.c.envelope).where(waiters.c.transfer_id == transfer_id).order_by(waiters.c.message_id)
        waiting = [Envelope(**json.loads(text)) for text in (await connection.execute(query)).scalars()]
        await connection.execute(delete(waiters).where(waiters.c.transfer_id == transfer_id))
        return waiting

    async def purge(self, connection: AsyncConnection, *, before: float, results_before: float) -> int:
        """Drops chunks and offers older than `before` that no job needs, and results older than `results_before`."""
        needed = (
            select(transfer_files.c.raw_sha256)
            .join(transfers, transfers.c.transfer_id == transfer_files.c.transfer_id)
            .where(transfers.c.state == "finishing")
        )
        await connection.execute(delete(chunks).where(chunks.c.at < before, chunks.c.raw_sha256.not_in(needed)))
        old = or_(
            and_(transfers.c.state == "offered", transfers.c.updated_at < before),
            and_(transfers.c.state.in_(("done", "failed")), transfers.c.updated_at < results_before),
        )
        ids: Sequence[str] = (await connection.execute(select(transfers.c.transfer_id).where(old))).scalars().all()
        await self._forget(connection, ids)
        return len(ids)

    async def waits(self, connection: AsyncConnection) -> int:
        """How many jobs are not finished."""
        query = select(func.count()).select_from(transfers).where(transfers.c.state == "finishing")
        return (await connection.execute(query)).scalar() or 0

    async def _forget(self, connection: AsyncConnection, ids: Sequence[str]) -> None:
        for keys in pages(ids):
            for table in (transfer_files, transfer_parts, waiters, transfers):
                await connection.execute(delete(table).where(table.c.transfer_id.in_(keys)))
