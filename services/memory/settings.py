"""Settings of memory, prefix `WARREN_`."""

from datetime import timedelta

from pydantic import Field

from shared.runtime.settings import MeshSettings


class Settings(MeshSettings):
    """Limits are per file unless they say otherwise."""

    max_file_mb: float = Field(default=50, gt=0, le=500)
    """Millions of bytes, as `warren corpus add` counts them, which reads the same variable."""
    parse_timeout: timedelta = timedelta(seconds=60)
    """On the clock, and of CPU."""
    parse_memory_mb: int = Field(default=1024, ge=256)
    """Address space of a parsing child."""
    parsers: int = Field(default=2, ge=1, le=16)
    """Parsing children; they exist only while documents are read."""
    index_wait: timedelta = timedelta(seconds=20)
    """How long a search waits for the index to see what it must see."""
    search_vectors: bool = True
    """Where inference has an embedding model, passages are embedded and searches use both; `false`: words alone."""
    embed_wait: timedelta = timedelta(seconds=3)
    """How long a search waits for its query's vector before words decide alone."""
    restricted_corpora: str = ""
    """Comma list, `hr-*` for all that begin so: their documents are embedded by local hosts or not at all."""
    findings_kept: int = Field(default=1000, ge=1)
    """The newest of each namespace."""
    chunks_kept: timedelta = timedelta(days=1)
    """Of transfers that nobody finishes."""
    results_kept: timedelta = timedelta(days=7)
    """How long the end of a transfer can be asked for again."""
    unused_texts_kept: timedelta = timedelta(days=1)
    """Texts that no corpus holds and no finding cites: goals that run may still quote them."""
    upkeep_every: timedelta = timedelta(hours=1)
