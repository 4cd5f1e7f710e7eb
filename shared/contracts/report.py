"""The report and its bundle: the stable surface that users check (`report.json`)."""

from typing import Literal

from shared.contracts.message import Value


class Citation(Value):
    """Citation [n] of a report: where the quote stands. `start`, `end` count characters of the stored text."""

    n: int
    evidence_id: str
    source: str
    title: str = ""
    page: int | None = None
    heading: str | None = None
    sha256: str
    start: int
    end: int
    quote: str


class Source(Value):
    """One stored text that the report cites; its text is `sources/<sha256>.txt` of the bundle."""

    sha256: str
    source: str
    title: str = ""


class Removed(Value):
    """A sentence that the citation gate took out, and why."""

    section: str
    sentence: str
    reason: str


class Stats(Value):
    """Figures of a report. `citations`: made; `verified`: of these, found verbatim and supporting their sentence."""

    citations: int = 0
    verified: int = 0
    steps: int = 0
    messages: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0


class WrittenReport(Value):
    """What the writer hands over: the Markdown text and all that is in it."""

    report: str
    citations: tuple[Citation, ...] = ()
    sources: tuple[Source, ...] = ()
    not_found: tuple[str, ...] = ()
    removed: tuple[Removed, ...] = ()


class ReportBundle(WrittenReport):
    """`report.json`. `engine_reason` says why it was not the engine one might expect, else null."""

    goal_id: str
    goal: str
    status: Literal["done", "failed", "cancelled"]
    engine: str | None = None
    engine_reason: str | None = None
    stats: Stats = Stats()
