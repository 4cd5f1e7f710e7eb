"""Writing one report: section by section, each through the gate, the summary last. Talks only by `ask`."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from services.writer import draft, gate, opinion
from services.writer.draft import Part
from services.writer.gate import Archive, Claim, Failure, Judged
from services.writer.page import Page
from services.writer.section import Section
from services.writer.table import table
from shared.contracts.citing import CitedSentence, cited_sentences
from shared.contracts.generation import Generate, Generated
from shared.contracts.report import Removed
from shared.errors import Rejected
from shared.runtime.agent import StepContext

EXTRACTIVE = "extractive"
SUMMARY = "Summary"


@dataclass
class Writing:
    """The state of one report in the making. `thinking_s`: how long one model call may take, in seconds.

    Model calls at most: one per section, one repair per section, one summary; with a `second` engine one opinion for
    each section and the summary. Calls of the extractive engine are free.
    """

    context: StepContext
    archive: Archive
    thinking_s: float
    second: str = ""
    answers: list[Generated] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    removed: list[Removed] = field(default_factory=list)

    async def page(self, parts: Sequence[Part]) -> Page:
        """Everything but what was not found. Raises Rejected when the engine that the goal named cannot be had."""
        step = self.context.step
        sections = []
        for n, part in enumerate(parts):
            self.context.say(f"section {n + 1}/{len(parts)}: {part.question}")
            section = await self._section(part, ordinal=n, of=len(parts))
            sections.append(section)
            self.said += [claim.text for claim in section.claims]
        summary = await self._summary(sections)
        if self.engine == EXTRACTIVE and len(sections) == 1:
            sections = [_rest(sections[0], summary)]
        return Page(
            goal=step.goal,
            sections=tuple(sections),
            summary=summary,
            table=table(step.goal, sections, self.archive),
            removed=tuple(self.removed[:200]),
            engine=self.engine,
            engine_reason=self.engine_reason,
        )

    @property
    def engine(self) -> str:
        """The engine that wrote: a model's name if one had a part in it."""
        wrote = (a for a in self.answers if a.call.purpose != "opinion" and a.finish == "stop")
        return next((a.engine for a in wrote if a.engine != EXTRACTIVE), EXTRACTIVE)

    @property
    def engine_reason(self) -> str | None:
        """Why it was this engine and not another, or not the model that was there; None when all is well."""
        reasons = [a.engine_reason for a in self.answers if a.engine == self.engine]
        if self.engine == EXTRACTIVE:
            reasons = [
                self.context.step.engine_reason,
                *reasons,
                _no_section([a for a in self.answers if a.engine != EXTRACTIVE]),
            ]
        return next((reason for reason in reasons if reason), None)

    async def _section(self, part: Part, *, ordinal: int, of: int) -> Section:
        if not part.evidence:
            return Section(part.question)
        answer = await self._ask(
            draft.section_request(
                self.context.step, part, ordinal=ordinal, engine=self.context.step.engine, said=self.said
            )
        )
        if answer.finish != "stop":
            why = f"{answer.engine} gave no whole section ({answer.error or answer.finish}): the sources are quoted"
            return await self._quoted(part, ordinal=of + ordinal, note=why)
        by_model = answer.engine != EXTRACTIVE
        judged = await self._judged(answer.text, first=() if by_model else part.verbatim)
        sentences = len(judged.passed) + len(judged.failed)
        if judged.failed and not (by_model and _most(len(judged.failed), sentences)):
            judged = await self._repair(part, judged, ordinal=ordinal, by_model=by_model)
        self.removed += gate.removed(part.question, judged.failed)
        lost = by_model and _most(len(judged.failed), sentences)
        if not lost and (judged.passed or judged.repeated):
            claims, note = judged.passed, part.note
            if by_model:
                claims, doubt = await self._seconded(claims, section=part.question, ordinal=ordinal)
                note = note or doubt
                quoted = (await self._in_its_words(part, ordinal=of + ordinal)).passed[: draft.TOLD_ANYWAY]
                claims = gate.completed(claims, quoted)
            return Section(part.question, claims, note=note, repeats=not claims)
        why = f"{len(judged.failed)} of {sentences} sentences by {answer.engine} were not supported by the sources"
        return await self._quoted(part, ordinal=of + ordinal, note=why if lost else part.note)

    async def _repair(self, part: Part, judged: Judged, *, ordinal: int, by_model: bool) -> Judged:
        """Once: by the model for all that failed in the section, else by the nearest sentence of what each cites."""
        step, passed = self.context.step, list(judged.passed)
        if by_model:
            self.context.say(f"repairing {len(judged.failed)} sentences: {part.question}")
            request = draft.repair_request(step, part, judged.failed, ordinal=ordinal, engine=step.engine)
            answer = await self._ask(request)
            if answer.finish == "stop":
                again = await self._judged(answer.text, said=[claim.text for claim in passed])
                unmended = gate.repaired(judged.failed, again.passed)
                return Judged((*passed, *again.passed), unmended, judged.repeated)
        left: list[Failure] = []
        for failure in judged.failed:
            claim = gate.verbatim(failure, self.archive)
            before = [*self.said, *(c.text for c in passed)]
            if claim is None:
                left.append(failure)
            elif not any(gate.same(claim.text, text) for text in before):
                passed.append(claim)
        return Judged(tuple(passed), tuple(left), judged.repeated)

    async def _quoted(self, part: Part, *, ordinal: int, note: str | None) -> Section:
        """The extractive version of a section; when even that fails, the quotes as they are."""
        judged = await self._in_its_words(part, ordinal=ordinal)
        if not judged.passed:
            judged = gate.quotes_as_claims(part.evidence, self.archive, said=self.said)
        repeats = bool(judged.repeated) and not judged.passed
        return Section(part.question, judged.passed, quoted=True, note=note, repeats=repeats)

    async def _in_its_words(self, part: Part, *, ordinal: int) -> Judged:
        """What the sources themselves answer, best first. A model's section says the first of it, too: then no model,
        however weak or wayward, makes a report that has less in it than one without a model."""
        step = self.context.step
        answer = await self._ask(draft.section_request(step, part, ordinal=ordinal, engine=EXTRACTIVE, said=()))
        return await self._judged(answer.text if answer.finish == "stop" else "", first=part.verbatim)

    async def _summary(self, sections: Sequence[Section]) -> tuple[Claim, ...]:
        """From accepted sentences only; each must still be supported by the quotes behind them. Never empty when there
        is a section: then the first sentences of the sections are the summary."""
        claims = draft.worth_summing_up(sections)
        if not claims:
            return ()
        self.context.say("summary")
        if self.engine == EXTRACTIVE:
            return claims[: max(draft.SUMMARY_SENTENCES, min(len(sections), draft.SUMMARY_QUOTES))]
        answer = await self._ask(draft.summary_request(self.context.step, claims, engine=self.context.step.engine))
        judged = Judged()
        if answer.finish == "stop":
            judged = gate.judge_sentences(_resolved(answer.text, claims), self.archive)
            self.removed += gate.removed(SUMMARY, judged.failed)
        passed, _ = await self._seconded(judged.passed, section=SUMMARY, ordinal=len(sections))
        return gate.completed(passed, claims[:1] if passed else claims)[: draft.SUMMARY_SENTENCES]

    async def _seconded(
        self, claims: tuple[Claim, ...], *, section: str, ordinal: int
    ) -> tuple[tuple[Claim, ...], str | None]:
        """What a second engine leaves of them, and why there is no such opinion where there is none."""
        shown = opinion.to_judge(claims, self.archive) if self.second else ()
        if not shown:
            return claims, None
        self.context.say(f"second opinion of {self.second}: {section}")
        request = opinion.request(self.context.step, shown, self.archive, ordinal=ordinal, engine=self.second)
        answer = await self.context.ask(request, Generated, deadline_s=self.thinking_s)
        self.answers.append(answer)
        found = opinion.read(answer, claims, shown)
        self.removed += gate.removed(section, found.removed)
        return found.kept, f"no second opinion ({found.failed})" if found.failed else None

    async def _judged(self, text: str, *, first: Sequence[CitedSentence] = (), said: Sequence[str] = ()) -> Judged:
        """`first` and then the sentences of `text`, off the loop: checking them may take longer than a heartbeat."""
        before = [*self.said, *said]
        return await asyncio.to_thread(gate.judge, text, self.archive, first=first, said=before)

    async def _ask(self, request: Generate) -> Generated:
        answer = await self.context.ask(request, Generated, deadline_s=self.thinking_s)
        if answer.finish == "failed" and request.engine not in {"auto", EXTRACTIVE}:
            raise Rejected(answer.error or f"{request.engine} failed")
        self.answers.append(answer)
        return answer


def _rest(section: Section, summary: Sequence[Claim]) -> Section:
    """The only section without what the summary has said in the same words."""
    left = tuple(claim for claim in section.claims if claim not in summary)
    return replace(section, claims=left, repeats=bool(section.claims) and not left)


def _no_section(answers: Sequence[Generated]) -> str | None:
    """Why a model that was there has no part in the report. `answers`: what it gave."""
    if not answers:
        return None
    ends = ", ".join(dict.fromkeys(answer.finish for answer in answers))
    why = next((answer.error for answer in answers if answer.error), f"its answers ended with {ends}")
    return f"{answers[0].engine} gave no whole section ({why})"


def _resolved(text: str, claims: Sequence[Claim]) -> list[CitedSentence]:
    """Sentences that cite s1, s2, ... as sentences that cite the evidence of those."""
    by_id = {f"s{n}": claim for n, claim in enumerate(claims, start=1)}
    return [
        replace(sentence, ids=tuple(dict.fromkeys(e for i in sentence.ids for e in by_id[i].ids)))
        for sentence in cited_sentences(text[: gate.ANSWER_CHARACTERS], by_id)[: gate.ANSWER_SENTENCES]
    ]


def _most(failed: int, of: int) -> bool:
    return failed * 2 > of
