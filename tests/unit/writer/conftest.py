"""Stored texts, evidence of them, and a mesh of doubles: memory reads spans, inference says what it is told to."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from shared.contracts.evidence import Evidence, Finding, evidence_id
from shared.contracts.generation import Generate, Generated, Usage
from shared.contracts.library import ReadSpans, SpansRead
from shared.contracts.steps import RunStep, StepResult
from shared.runtime.agent import StepContext

LINES = (
    "Quorum queues replicate every message to a majority of nodes.",
    "A quorum queue needs at least three nodes.",
    "Classic queues keep messages on a single node.",
    "A classic queue may lose messages when its node fails.",
    "The default delivery limit of quorum queues is 20 deliveries.",
    "Publisher confirms are slower than plain publishing.",
    "Dead letters keep their original headers.",
    "Streams are not suited for task queues.",
)
TEXT = " ".join(LINES)
SHA = hashlib.sha256(TEXT.encode()).hexdigest()


def quote(line: str, *, text: str = TEXT, sha256: str = SHA, **more) -> Evidence:
    start = text.index(line)
    end = start + len(line)
    known = {"source": "queues.pdf", "title": "Queues", "page": 4, "heading": "Kinds of queues", **more}
    return Evidence(
        evidence_id=evidence_id(sha256, start, end), sha256=sha256, start=start, end=end, quote=line, **known
    )


def result(*lines: str, step: str = "1", question: str = "What are quorum queues?", **more) -> StepResult:
    items = tuple(quote(line) for line in lines)
    findings = tuple(Finding(text=item.quote, evidence_ids=(item.evidence_id,)) for item in items)
    return StepResult(step=step, question=question, findings=findings, evidence=items, **more)


def echo(command: Generate) -> str:
    """The extractive engine in two lines: its passages word for word."""
    return "\n".join(f"{p.text} [{p.id}]" for p in command.inputs.passages[: command.inputs.limit])


@dataclass
class Mesh:
    """`says`: by engine, what it writes; `finish`: by engine, how it ends; `auto`: the engine that auto is."""

    auto: str = "extractive"
    says: dict[str, Callable[[Generate], str]] = field(default_factory=lambda: {"extractive": echo})
    finish: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=lambda: {SHA: TEXT})
    asked: list = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    async def ask(self, command, reply, *, deadline_s=10.0):
        self.asked.append(command)
        if isinstance(command, ReadSpans):
            return SpansRead(texts=tuple(self.read(span) for span in command.spans))
        return self.generated(command)

    def read(self, span) -> str | None:
        text = self.texts.get(span.sha256, "")
        return text[span.start : span.end] if span.end <= len(text) else None

    def generated(self, command: Generate) -> Generated:
        engine = self.auto if command.engine == "auto" else command.engine
        finish = self.finish.get(engine, "stop")
        return Generated(
            call=command.call,
            finish=finish,
            engine=engine,
            text=self.says[engine](command) if engine in self.says else "",
            error="connection refused" if finish == "failed" else None,
            usage=Usage(tokens_in=100, tokens_out=10),
        )

    @property
    def calls(self) -> list[Generate]:
        return [command for command in self.asked if isinstance(command, Generate)]

    def context(self, *inputs: StepResult, **more) -> StepContext:
        known = {"goal": "How do quorum queues and classic queues differ?", "question": "Write the report.", **more}
        step = RunStep(goal_id="g", step="write", agent="writer", fence=1, inputs=inputs, **known)
        return StepContext(step, "writer-1", self.ask, self.said.append)


@pytest.fixture
def lines() -> tuple[str, ...]:
    return LINES


@pytest.fixture
def make_quote():
    return quote


@pytest.fixture
def make_result():
    return result


@pytest.fixture
def mesh() -> Mesh:
    return Mesh()
