"""What a report says before it is numbered and rendered: sections, a summary, perhaps a table. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from services.writer.gate import Claim
from services.writer.section import Section
from services.writer.table import Table
from shared.contracts.labels import labels_for
from shared.contracts.report import Removed
from shared.contracts.voice import attributed


@dataclass(frozen=True)
class Speaker:
    """The title of a source, empty where it cannot be named, and its words."""

    title: str
    quote: str


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

    def spoken(self, speakers: Mapping[str, Speaker]) -> "Page":
        """Sentences in the first person that are a source's own words are given to its authors. By evidence id."""
        sections = tuple(replace(one, claims=self._given(one.claims, speakers)) for one in self.sections)
        return replace(self, sections=sections, summary=self._given(self.summary, speakers))

    def _given(self, claims: tuple[Claim, ...], speakers: Mapping[str, Speaker]) -> tuple[Claim, ...]:
        labels, given = labels_for(self.goal), []
        for claim in claims:
            by = [speakers[name] for name in claim.ids if claim.text in " ".join(speakers[name].quote.split())]
            text = attributed(claim.text, title=by[0].title, labels=labels) if by else claim.text
            given.append(replace(claim, text=text))
        return tuple(given)
