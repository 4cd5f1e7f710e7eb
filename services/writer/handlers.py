"""What the writer does with the write step: check what the steps quote, write, and hand over what stands."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from services.writer import draft, gate, markdown
from services.writer.gate import Archive
from services.writer.writing import Writing
from shared.contracts.evidence import Evidence
from shared.contracts.library import ReadSpans, Span, SpansRead
from shared.contracts.steps import StepResult
from shared.runtime.agent import StepContext, StepOutcome
from shared.runtime.spending import usage_of

SPANS = 200
"""Spans per request: 200 quotes of 600 characters fit a reply of 1 MiB in any script."""


@dataclass(frozen=True)
class Writer:
    """Stateless. `reading`: how long memory may take to read spans; `thinking`: how long one model call may take.
    `second`: the engine that is asked for a second opinion, if any."""

    reading: timedelta = timedelta(seconds=30)
    thinking: timedelta = timedelta(minutes=30)
    second: str = ""

    async def on_run_step(self, context: StepContext) -> StepOutcome:
        """May run twice: the same inputs ask the same calls of the ledger and give the same report."""
        step = context.step
        context.say("checking quotes against the stored texts")
        archive = await self._archive(context)
        writing = Writing(context, archive, self.thinking.total_seconds(), second=self.second)
        for section, failure in draft.broken_findings(step.inputs, archive):
            writing.removed += gate.removed(section, [failure])
        page = await writing.page(draft.parts(step.inputs, archive))
        page = replace(page, not_found=draft.not_found(step.inputs, page.sections))
        report = markdown.written(page, archive.standing)
        context.say(f"{len(report.citations)} citations, all verified")
        result = StepResult(step=step.step, question=step.question, not_found=report.not_found)
        usage = usage_of(writing.answers)
        return StepOutcome(result, report, usage, engine=page.engine, engine_reason=page.engine_reason)

    async def _archive(self, context: StepContext) -> Archive:
        """Every quote beside what memory reads at its offsets."""
        evidence = gate.readable(item for result in context.step.inputs for item in result.evidence)
        stored: list[str | None] = []
        for start in range(0, len(evidence), SPANS):
            stored += await self._read(context, evidence[start : start + SPANS])
        return gate.archive(evidence, stored)

    async def _read(self, context: StepContext, evidence: Sequence[Evidence]) -> Sequence[str | None]:
        spans = tuple(Span(sha256=item.sha256, start=item.start, end=item.end) for item in evidence)
        reply = await context.ask(ReadSpans(spans=spans), SpansRead, deadline_s=self.reading.total_seconds())
        return reply.texts
