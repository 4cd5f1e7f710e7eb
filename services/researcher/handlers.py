"""What the researcher does with a step: search, recall, have it thought about, keep what a quote supports."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.researcher import research
from services.researcher.question import queries, unanswerable
from services.researcher.research import Found
from shared.contracts.findings import FindingsListed, Recall
from shared.contracts.generation import Generated
from shared.contracts.library import Passage, PassagesFound, Search
from shared.contracts.steps import RunStep
from shared.errors import Rejected
from shared.runtime.agent import StepContext, StepOutcome
from shared.runtime.spending import usage_of

MEANING = 4000
"""Characters of a question that a search takes."""


@dataclass(frozen=True)
class Read:
    """What was read: the passages, best first; how many documents were searched; names that none of them mentions."""

    passages: tuple[Passage, ...]
    documents: int
    absent: tuple[str, ...]


@dataclass(frozen=True)
class Researcher:
    """Stateless. `search_limit`: passages per query; `recall_limit`: earlier findings; `thinking`: one model call.

    Run again, it asks the same: searches name the step's watermark, and every call has the ledger's key. Only recall
    may see more the second time; then inference reports that the request differs, and keeps the answer it has.
    """

    search_limit: int = 20
    recall_limit: int = 5
    search_timeout: timedelta = timedelta(seconds=30)
    thinking: timedelta = timedelta(minutes=30)

    async def on_run_step(self, context: StepContext) -> StepOutcome:
        """Raises Rejected when the engine that the goal named cannot be had."""
        step = context.step
        context.say("searching")
        read = await self._read(context)
        chosen = research.to_read(read.passages)
        if not chosen or unanswerable(step.question, read.absent):
            said = research.nothing_said(step, documents=read.documents, absent=read.absent)
            return StepOutcome(research.result(step, Found(), not_found=said))
        return await self._think(context, chosen, read)

    async def _think(self, context: StepContext, chosen: Sequence[Passage], read: Read) -> StepOutcome:
        step = context.step
        context.say(f"reading {len(chosen)} passages of {read.documents} documents")
        first = await self._generate(context, chosen, ordinal=0, engine=step.engine)
        if first.finish == "failed" and step.engine != "auto":
            raise Rejected(first.error or f"{step.engine} failed")
        kept = await self._found(first, chosen, step=step)
        answers, reason = [first], None
        if first.engine != "extractive":  # a model is never worse than none
            if len(kept.findings) < research.THIN:
                reason = _why(first, kept)
                context.say(reason)
            second = await self._generate(context, chosen, ordinal=1, engine="extractive")
            answers.append(second)
            kept = (await self._found(second, chosen, step=step)).joined(kept).bounded()
        said = research.nothing_said(step, documents=read.documents, absent=read.absent) if read.absent else ()
        if not kept.findings and not said:
            said = research.nothing_said(step, documents=read.documents, read=len(chosen))
        context.say(f"{len(kept.findings)} findings with {len(kept.evidence)} quotes")
        return StepOutcome(
            research.result(step, kept, not_found=said, reason=reason), usage=usage_of(answers), engine=first.engine
        )

    async def _found(self, answer: Generated, passages: Sequence[Passage], *, step: RunStep) -> Found:
        """Off the loop: the checks of a long answer take longer than a heartbeat should wait."""
        if answer.finish != "stop":
            return Found()
        question = step.question if answer.engine != "extractive" else None  # which has looked to that itself
        return await asyncio.to_thread(research.found, answer.text, passages, question=question)

    async def _generate(
        self, context: StepContext, passages: Sequence[Passage], *, ordinal: int, engine: str
    ) -> Generated:
        request = research.request(context.step, passages, ordinal=ordinal, engine=engine)
        return await context.ask(request, Generated, deadline_s=self.thinking.total_seconds())

    async def _read(self, context: StepContext) -> Read:
        """Corpora and earlier findings side by side. A web search would be one more ranking here."""
        step = context.step
        wanted = queries(step.question)
        rankings, documents = await self._search(context, wanted, limit=self.search_limit, meaning=step.question)
        earlier = await self._recall(context)
        inputs = research.quoted(item for result in step.inputs for item in result.evidence)
        passages = research.merged([*rankings, earlier, inputs])
        absent = research.unmentioned(step.question, passages)
        if absent:
            more, _ = await self._search(context, absent, limit=5)
            passages = research.merged([passages, *research.mentioning(absent, more)])
            absent = research.unmentioned(step.question, passages)
        return Read(passages, documents, absent)

    async def _search(
        self, context: StepContext, wanted: Sequence[str], *, limit: int, meaning: str | None = None
    ) -> tuple[list[tuple[Passage, ...]], int]:
        """`meaning`: what the first of these searches is the content words of. A vector of the whole question finds
        more than one of its content words alone (`benchmarks/search`)."""
        step = context.step
        if not step.corpora:
            return [], 0
        meanings = [meaning and meaning[:MEANING], *[None] * (len(wanted) - 1)]
        asked = [
            Search(corpora=step.corpora, query=query, meaning=meant, limit=limit, watermark=step.watermark)
            for query, meant in zip(wanted, meanings, strict=True)
        ]
        timeout = self.search_timeout.total_seconds()
        replies = await asyncio.gather(*(context.ask(each, PassagesFound, deadline_s=timeout) for each in asked))
        return [reply.passages for reply in replies], max((reply.documents for reply in replies), default=0)

    async def _recall(self, context: StepContext) -> tuple[Passage, ...]:
        step = context.step
        if not self.recall_limit:
            return ()
        recall = Recall(
            namespace=step.namespace,
            corpora=step.corpora,
            query=step.question,
            limit=self.recall_limit,
            except_goal=step.goal_id,
        )
        listed = await context.ask(recall, FindingsListed, deadline_s=self.search_timeout.total_seconds())
        return research.recalled(listed.findings)


def _why(answer: Generated, kept: Found) -> str:
    """Why the extractive engine was asked as well."""
    if answer.finish != "stop":
        return f"{answer.engine} gave no whole answer ({answer.error or answer.finish}): the sources are quoted instead"
    made = len(kept.findings) + kept.dropped
    return f"{answer.engine}: {len(kept.findings)} of {made} sentences were supported by a quote: quotes were added"
