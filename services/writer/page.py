"""What a report says before it is numbered and rendered: sections, a summary, perhaps a table. Pure."""

from dataclasses import dataclass, replace

from services.writer.gate import Claim
from services.writer.section import Section
from services.writer.table import Table
from shared.contracts.report import Removed


@dataclass(frozen=True)
class Page:
    """All that the report says, before it is numbered and rendered."""

    goal: str
    sections: tuple[Section, ...] = ()
    summary: tuple[Claim, ...] = ()
    table: Table | None = None
    not_found: tuple[str, ...] = ()
    removed: tuple[Removed, ...] = ()
    engine: str = "extractive"
    engine_reason: str | None = None

    def shortened(self, sentences: int) -> "Page":
        """At most so many sentences in a section; the record of removals shrinks with it."""
        sections = tuple(replace(section, claims=section.claims[:sentences]) for section in self.sections)
        return replace(
            self,
            sections=sections,
            summary=self.summary[:sentences],
            removed=self.removed[: 25 * sentences],
            not_found=self.not_found[: 1 + 13 * sentences],
        )
