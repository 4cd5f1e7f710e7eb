"""The library: between clients, agents and memory. Documents travel by message, never by path."""

from typing import Literal

from pydantic import Field

from shared.contracts.goals import Name
from shared.contracts.message import Command, Event, Reply, Value
from shared.contracts.sensitivity import Sensitivity, sensitivity_field

CHUNK_BYTES = 384 * 1024
"""Raw bytes of one chunk: 512 KiB as base64, half of what a message may weigh."""
Sha256 = str


class OfferedFile(Value):
    """A file of the client's folder: its name there, the sha256 of its raw bytes, its size in bytes."""

    name: str = Field(min_length=1, max_length=1024)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size: int = Field(ge=0)


class OfferDocuments(Command, owner="memory", name="offer_documents"):
    """Part `part` of `parts` (from 1) of what corpus `corpus` shall consist of. Answered by `DocumentsWanted`.

    The same offer again is harmless: it continues the transfer. `replace`: what is not offered leaves the corpus.
    """

    corpus: Name
    transfer_id: str = Field(min_length=8, max_length=64)
    files: tuple[OfferedFile, ...] = Field(max_length=4000)
    part: int = Field(default=1, ge=1)
    parts: int = Field(default=1, ge=1, le=1000)
    replace: bool = True


class DocumentsWanted(Reply, owner="memory", name="documents_wanted"):
    """Files of this part whose bytes memory does not have yet, and chunks of them that it already holds.

    `have`: sha256 -> indexes of chunks that arrived before. Files that are too large are not wanted: see the result.
    """

    transfer_id: str
    wanted: tuple[str, ...]
    have: dict[str, tuple[int, ...]] = Field(default_factory=dict)


class PutChunk(Command, owner="memory", name="put_chunk"):
    """Chunk `index` of `count` of the file with this hash. Answered by `Done`. Twice is harmless."""

    transfer_id: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    index: int = Field(ge=0)
    count: int = Field(ge=1)
    data: str
    """base64 of at most CHUNK_BYTES raw bytes"""


class FinishTransfer(Command, owner="memory", name="finish_transfer"):
    """All chunks are sent: parse, index, and make the corpus what was offered. Answered by `TransferFinished`.

    Twice is harmless: the second asks for the same result. `Refused` with error `chunks_missing` when some are.
    """

    transfer_id: str


class SkippedFile(Value):
    """A file that is not in the corpus, and why ("no text layer: a scan?", "62 MB, more than 50 MB", ...)."""

    name: str
    reason: str


class TransferFinished(Reply, owner="memory", name="transfer_finished"):
    """What changed in the corpus, in files."""

    corpus: str
    documents: int
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    skipped: tuple[SkippedFile, ...] = ()
    watermark: int = 0


class TransferProgress(Event, owner="memory", name="transfer_progress"):
    """A sign of life while documents are read; subject of the routing key is the transfer id. Not stored."""

    transfer_id: str
    parsed: int
    total: int


class ListCorpora(Command, owner="memory", name="list_corpora"):
    """Answered by `CorporaListed`."""


class CorpusView(Value):
    name: str
    documents: int
    passages: int
    characters: int


class CorporaListed(Reply, owner="memory", name="corpora_listed"):
    corpora: tuple[CorpusView, ...]


class RemoveCorpus(Command, owner="memory", name="remove_corpus"):
    """Forget a corpus; texts that a kept report cites stay. Answered by `Done` (count: documents)."""

    corpus: Name


class OpenCorpora(Command, owner="memory", name="open_corpora"):
    """Do these corpora exist, and as of when? Answered by `CorporaOpened`. No names: the answer counts nothing."""

    goal_id: str
    corpora: tuple[str, ...]


class CorporaOpened(Reply, owner="memory", name="corpora_opened"):
    """`watermark`: a search that names it sees at least what is stored now."""

    goal_id: str
    missing: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    documents: int = 0
    watermark: int = 0


class Search(Command, owner="memory", name="search"):
    """The passages of these corpora nearest to the query (words, no syntax). Answered by `PassagesFound`.

    `meaning`: the question as it was asked, of which the vector is taken; null: of the query. `sensitivity`: where no
    local host embeds, a `restricted` search is made by words alone.
    """

    corpora: tuple[str, ...]
    query: str = Field(min_length=1, max_length=4000)
    meaning: str | None = Field(default=None, max_length=4000)
    limit: int = Field(default=10, ge=1, le=100)
    watermark: int = 0
    sensitivity: Sensitivity = sensitivity_field()


class Passage(Value):
    """A stretch of a stored text: `text` is exactly `stored[start:end]`. `position`: 0 is the first of its document."""

    passage_id: str
    source: str
    title: str = ""
    page: int | None = None
    heading: str | None = None
    sha256: str
    start: int
    end: int
    text: str
    position: int = 0
    score: float = 0.0


class PassagesFound(Reply, owner="memory", name="passages_found"):
    """Best first. `documents`: how many were searched. `found_by`: the ranking is of words (bm25) alone, or fused with
    that of vectors (`embedder` names the model), and `score` is then the fused one."""

    passages: tuple[Passage, ...]
    documents: int = 0
    found_by: Literal["words", "words and vectors"] = "words"
    embedder: str | None = None


class Span(Value):
    sha256: str
    start: int = Field(ge=0)
    end: int = Field(ge=0)


class ReadSpans(Command, owner="memory", name="read_spans"):
    """What stands in the stored texts at these spans? Answered by `SpansRead`."""

    spans: tuple[Span, ...] = Field(max_length=500)


class SpansRead(Reply, owner="memory", name="spans_read"):
    """In order; null where no such text is stored or the span lies outside it."""

    texts: tuple[str | None, ...]


class ReadDocument(Command, owner="memory", name="read_document"):
    """A stored text, from character `offset`. Answered by `DocumentRead`."""

    sha256: str
    offset: int = Field(default=0, ge=0)
    length: int = Field(default=100_000, ge=1, le=100_000)


class DocumentRead(Reply, owner="memory", name="document_read"):
    """`total`: characters of the whole text. A text that is not stored is `Refused` with error `no_such_document`."""

    sha256: str
    total: int
    text: str
