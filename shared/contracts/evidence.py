"""Evidence: a verbatim quote at known offsets of a stored text; and the findings that cite it.

Offsets count characters of the stored UTF-8 text (Python's `text[start:end]`), not bytes.
"""

import hashlib

from pydantic import Field

from shared.contracts.message import Value

MAX_QUOTE = 600
"""Characters. Longer quotes are cut at a sentence end: a citation is to be read, and 12 steps must fit 1 MiB."""


class Evidence(Value):
    """One quote. `sha256` is of the stored text's UTF-8 bytes, so anyone can check `text[start:end] == quote`."""

    evidence_id: str
    source: str
    title: str = ""
    page: int | None = None
    heading: str | None = None
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    start: int = Field(ge=0)
    end: int = Field(gt=0)
    quote: str = Field(max_length=MAX_QUOTE)
    score: float = 0.0


class Finding(Value):
    """One sentence that a step found, with the evidence that supports it."""

    text: str
    evidence_ids: tuple[str, ...]


def evidence_id(sha256: str, start: int, end: int) -> str:
    """The same span of the same text has the same id, whoever found it and however often."""
    return "e" + hashlib.sha256(f"{sha256}:{start}:{end}".encode()).hexdigest()[:12]
