"""A question about a folder of files, answered by the real parser, index, plan, researcher, engine, gate and writer in
one process. Only the messages between them are left out: what they say and decide is the same as in the mesh."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from services.inference.extractive import answer as quoted
from services.memory.extract import extract
from services.memory.hybrid import hybrid
from services.memory.index import SearchIndex
from services.memory.passages import cut
from services.memory.store import StoredText
from services.planner.plan import deterministic_plan
from services.researcher.handlers import Researcher
from services.writer.handlers import Writer
from shared.contracts.findings import FindingsListed, Recall
from shared.contracts.generation import Generate, Generated
from shared.contracts.library import Passage, PassagesFound, ReadSpans, Search, SpansRead
from shared.contracts.message import Command
from shared.contracts.report import WrittenReport
from shared.contracts.steps import RunStep, StepResult
from shared.runtime.agent import StepContext, Work
from tests.quality.vectors import Vectors


class Author(Protocol):
    """A model: whoever answers what is asked of one. `engine`: by this name."""

    @property
    def engine(self) -> str: ...

    async def __call__(self, request: Generate) -> Generated: ...


KINDS = {".md": "md", ".txt": "txt", ".rst": "rst", ".html": "html", ".pdf": "pdf"}


@dataclass
class Desk:
    """`library`: a file for the search index. One corpus, `texts` by sha256. Without `vectors` words decide alone;
    without an `author` the built-in engine quotes."""

    library: Path
    vectors: Vectors | None = None
    author: Author | None = None
    texts: dict[str, str] = field(default_factory=dict)

    def add(self, files: Mapping[str, bytes]) -> None:
        """Reads and indexes these files: name -> content."""
        self._index = SearchIndex(self.library)
        self._index.watermark("quality")
        stored: list[tuple[StoredText, str]] = []
        for name, data in files.items():
            document = extract(data, kind=KINDS[Path(name).suffix], name=name)
            self.texts[document.sha256] = document.text
            stored.append((StoredText(document.sha256, document.title, document.text, cut(document)), name))
        self._index.put_texts([text.sha256 for text, _ in stored], [text for text, _ in stored])
        self._index.put_members("corpus", [(text.sha256, name) for text, name in stored])
        self._stored = [text for text, _ in stored]

    async def embed(self) -> None:
        """What was added, for searches by words and vectors."""
        for text in self._stored:
            if self.vectors is not None:
                await self.vectors.add(text)

    async def report(self, goal: str) -> WrittenReport:
        """The report on this goal."""
        work = Researcher().on_run_step
        results = [
            await self._step(work, goal, step=spec.id, question=spec.question) for spec in deterministic_plan(goal)
        ]
        written = await self._run(Writer().on_run_step, self._order("write", goal, goal, inputs=tuple(results)))
        assert written.report is not None
        return written.report

    async def _step(self, work: Work, goal: str, *, step: str, question: str) -> StepResult:
        return (await self._run(work, self._order(step, goal, question))).result

    async def _run(self, work: Work, step: RunStep) -> Any:
        return await work(StepContext(step, "quality", self._ask, lambda text: None))

    async def _ask(self, command: Command, reply: Any, *, deadline_s: float = 10.0) -> Any:
        if isinstance(command, Search):
            return PassagesFound(
                passages=tuple(await self._found(command)), documents=self._index.documents(command.corpora)
            )
        if isinstance(command, Recall):
            return FindingsListed(findings=())
        if isinstance(command, ReadSpans):
            return SpansRead(texts=tuple(self.texts[s.sha256][s.start : s.end] for s in command.spans))
        assert isinstance(command, Generate)
        if self.author and command.engine != "extractive":
            return await self.author(command)
        return Generated(call=command.call, engine="extractive", text=quoted(command.inputs), finish="stop")

    async def _found(self, search: Search) -> list[Passage]:
        if self.vectors is not None:
            return hybrid(self._index, search, await self.vectors.near(search))
        return self._index.search(search.query, corpora=search.corpora, limit=search.limit)

    def _order(self, step: str, goal: str, question: str, *, inputs: tuple[StepResult, ...] = ()) -> RunStep:
        engine = self.author.engine if self.author else "extractive"
        return RunStep(
            goal_id="quality", step=step, agent="researcher", goal=goal, question=question, fence=1,
            corpora=("corpus",), engine=engine, inputs=inputs,
        )  # fmt: skip
