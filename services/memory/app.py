"""Where memory's parts meet: one line per message heard."""

from datetime import UTC, datetime

from services.memory.embedder import Embedder
from services.memory.finding_store import FindingStore
from services.memory.follow import Follower
from services.memory.handlers import Documents, Findings, Queries
from services.memory.hybrid import VectorSearch
from services.memory.index import SearchIndex
from services.memory.ingest import Ingest
from services.memory.parsers import Limits, Parsers
from services.memory.settings import Settings
from services.memory.store import LibraryStore
from services.memory.tables import schema
from services.memory.transfer import MEGABYTE
from services.memory.transfer_store import TransferStore
from services.memory.upkeep import Upkeep
from services.memory.vector_store import VectorStore
from shared.contracts import findings as f
from shared.contracts import library as lib
from shared.messaging.topology import MEMORY, MEMORY_TRANSFER
from shared.runtime.service import Service


def build(settings: Settings) -> Service:
    service = Service("memory", settings, tables=schema())
    library, transfers, findings = LibraryStore(), TransferStore(), FindingStore()
    index = SearchIndex(settings.home / "data" / f"memory-index-{service.instance}.db")
    limits = Limits(seconds=settings.parse_timeout.total_seconds(), memory_mb=settings.parse_memory_mb)

    async def progress(message: lib.TransferProgress) -> None:
        await service.publisher.publish(message, subject=message.transfer_id)

    follower = Follower(service.database, library, findings, index, wait_s=settings.index_wait.total_seconds())
    embedder = Embedder(service.database, library, (vectors := VectorStore(library)), service.requests.ask,
                        changed=follower.changed, restricted=settings.restricted_corpora)  # fmt: skip

    def changed() -> None:
        follower.changed()
        embedder.wake()

    ingest = Ingest(
        database=service.database, library=library, transfers=transfers, progress=progress, clock=_now,
        parsers=lambda: Parsers(settings.parsers, limits), changed=changed, worker=service.instance,
        max_bytes=int(settings.max_file_mb * MEGABYTE),
    )  # fmt: skip
    documents = Documents(library, transfers, clock=_now, wake=ingest.wake, changed=follower.changed,
                          max_bytes=ingest.max_bytes)  # fmt: skip
    remembering = Findings(findings, library, clock=_now, changed=follower.changed, keep=settings.findings_kept)
    near = VectorSearch(service.database, vectors, embedder, service.requests.ask,
                        wait_s=settings.embed_wait.total_seconds())  # fmt: skip
    queries = Queries(service.database, library, findings, follower, near if settings.search_vectors else None)

    service.apply(MEMORY, lib.OfferDocuments, documents.on_offer)
    service.apply(MEMORY_TRANSFER, lib.PutChunk, documents.on_chunk, once=False)
    service.apply(MEMORY, lib.FinishTransfer, documents.on_finish, once=False)
    service.apply(MEMORY, lib.RemoveCorpus, documents.on_remove)
    service.apply(MEMORY, lib.OpenCorpora, documents.on_open)
    service.apply(MEMORY, f.Remember, remembering.on_remember)
    service.apply(MEMORY, f.Forget, remembering.on_forget)
    service.subscribe(MEMORY, lib.ListCorpora, queries.on_list_corpora)
    service.subscribe(MEMORY, lib.Search, queries.on_search)
    service.subscribe(MEMORY, lib.ReadSpans, queries.on_read_spans)
    service.subscribe(MEMORY, lib.ReadDocument, queries.on_read_document)
    service.subscribe(MEMORY, f.Recall, queries.on_recall)
    service.subscribe(MEMORY, f.ListFindings, queries.on_list_findings)
    service.background(follower.run)
    service.background(ingest.run)
    if settings.search_vectors:
        service.background(embedder.run)
    service.background(Upkeep(service.database, library, transfers, index.path, settings, clock=_now).run)
    return service


def _now() -> datetime:
    return datetime.now(UTC)
