"""An agent of one's own, `glossary`: answers a step with the sentences that define something. No model.

WARREN_AMQP_URL=$(./warren url) .venv/bin/python docs/examples/agent.py
"""

from shared.contracts.evidence import Evidence, Finding, evidence_id
from shared.contracts.library import Passage, PassagesFound, Search
from shared.contracts.sentences import sentences
from shared.contracts.steps import StepResult
from shared.runtime.agent import Agent, StepContext, StepOutcome
from shared.runtime.run import run
from shared.runtime.service import Service
from shared.runtime.settings import MeshSettings


async def define(context: StepContext) -> StepOutcome:
    """May run twice for one step; only one of the two results counts."""
    step = context.step
    context.say("looking for definitions")
    search = Search(corpora=step.corpora, query=step.question, limit=20, watermark=step.watermark)
    found = await context.ask(search, PassagesFound, deadline_s=30)
    evidence = [item for passage in found.passages for item in definitions(passage)][:8]
    findings = [Finding(text=item.quote, evidence_ids=(item.evidence_id,)) for item in evidence]
    nothing = () if findings else (f"no definition in {found.documents} documents: {step.question}",)
    return StepOutcome(
        StepResult(
            step=step.step,
            question=step.question,
            findings=tuple(findings),
            evidence=tuple(evidence),
            not_found=nothing,
        )
    )


def definitions(passage: Passage) -> list[Evidence]:
    """Sentences like "A lease is a lock with an end.", as spans of the stored text."""
    found = []
    for sentence in sentences(passage.text):
        if sentence.text.startswith(("A ", "An ")) and " is a" in sentence.text and len(sentence.text) < 300:
            start, end = passage.start + sentence.start, passage.start + sentence.end
            found.append(
                Evidence(
                    evidence_id=evidence_id(passage.sha256, start, end),
                    source=passage.source,
                    title=passage.title,
                    page=passage.page,
                    heading=passage.heading,
                    sha256=passage.sha256,
                    start=start,
                    end=end,
                    quote=passage.text[sentence.start : sentence.end],
                )
            )
    return found


if __name__ == "__main__":
    service = Service("glossary", MeshSettings())
    Agent(service, "glossary", define, line="finds definitions in the corpora that a goal names")
    run(service)
