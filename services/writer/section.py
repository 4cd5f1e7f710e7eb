"""A finished section of a report."""

from dataclasses import dataclass

from services.writer.gate import Claim


@dataclass(frozen=True)
class Section:
    """A finished section. `quoted`: its sentences are the sources' own, because a model's did not stand. `repeats`: all
    that it could say is said in sections before it."""

    question: str
    claims: tuple[Claim, ...] = ()
    quoted: bool = False
    note: str | None = None
    repeats: bool = False
