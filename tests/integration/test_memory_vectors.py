"""Passages are embedded in the background and searched by words and vectors, on SQLite and PostgreSQL."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from sqlalchemy import func, select

from services.memory.embedder import BATCH, TEXTS, Embedder
from services.memory.handlers import Queries
from services.memory.hybrid import VectorSearch
from services.memory.tables import embedded, vectors
from services.memory.vector_store import VectorStore
from shared.contracts.generation import Embed, Embedded
from shared.contracts.library import PassagesFound, Search
from shared.errors import NoReply, RequestFailed
from shared.messaging.envelope import Envelope
from tests.integration.memory_library import NOW, Memory, document, memory, postgres  # noqa: F401  (fixtures)

LIKE = {"lease": 0, "loan": 0, "queue": 1, "row": 1}
"""Words that mean the same have one direction."""


@dataclass
class Model:
    """Inference as the embedder sees it. `bad`: a text with this word is refused; `away`: nothing is answered; `hold`:
    nothing is answered until it is set."""

    engine: str = "ollama/m"
    bad: str = ""
    away: bool = False
    crash_after: int | None = None
    hold: asyncio.Event | None = None
    broken: bool = False
    asked: list[tuple[str, ...]] = field(default_factory=list)

    async def ask(self, command: Embed, reply: type[Embedded], *, deadline_s: float) -> Embedded:
        self.asked.append(command.texts)
        if self.away:
            raise NoReply("inference did not answer")
        if self.broken:
            raise KeyError("a defect")
        if self.hold is not None:
            await self.hold.wait()
        if self.crash_after is not None and len(self.asked) > self.crash_after:
            raise asyncio.CancelledError
        bad = {n: "bad" for n, text in enumerate(command.texts) if self.bad and self.bad in text}
        if len(bad) == len(command.texts):
            raise RequestFailed("bad", kind="embedding_failed")
        found = tuple(() if n in bad else _vector(text) for n, text in enumerate(command.texts))
        return Embedded(engine=self.engine, vectors=found, failed=bad)


def _vector(text: str) -> tuple[float, ...]:
    counts = [0.1, 0.1, 0.1]
    for word in text.casefold().replace(".", " ").split():
        counts[LIKE.get(word, 2)] += 1
    length = math.hypot(*counts)
    return tuple(x / length for x in counts)


@dataclass
class Library:
    memory: Memory
    model: Model
    embedder: Embedder
    queries: Queries

    async def search(self, query: str, *, watermark: int = 0, limit: int = 10) -> PassagesFound:
        asked = Search(corpora=("a",), query=query, watermark=watermark, limit=limit)
        found = await self.queries.on_search(asked, Envelope(message_id="m", type="search.v1"))
        assert isinstance(found, PassagesFound)
        return found

    async def rows(self, model: str) -> tuple[int, int]:
        """(vectors, whole texts) of this model."""
        async with self.memory.database.read() as connection:
            one = await connection.execute(select(func.count()).where(vectors.c.model == model))
            other = await connection.execute(select(func.count()).where(embedded.c.model == model))
            return one.scalar_one(), other.scalar_one()


def _library(held: Memory, model: Model) -> Library:
    store, follower = VectorStore(held.library), held.follower
    embedder = Embedder(held.database, held.library, store, model.ask, changed=follower.changed)
    near = VectorSearch(held.database, store, embedder, model.ask, wait_s=5)
    return Library(held, model, embedder, Queries(held.database, held.library, held.findings, follower, near))


@pytest.fixture
async def library(memory: Memory) -> Library:  # noqa: F811
    return _library(memory, Model())


async def test_what_only_means_the_same_is_found(library: Library) -> None:
    await library.memory.put("a", one="The lease ends.", two="The queue grows.")
    assert (await library.search("loan")).passages == ()
    await library.embedder.catch_up()
    found = await library.search("loan")
    assert found.passages[0].source == "one"
    assert (found.found_by, found.embedder) == ("words and vectors", "ollama/m")
    assert await library.rows("ollama/m") == (2, 2)


async def test_without_vectors_a_search_is_what_it_was(library: Library) -> None:
    await library.memory.put("a", one="The lease ends.", two="The queue grows.")
    words = await library.search("lease")
    assert words.found_by == "words"
    assert library.model.asked == []  # and nobody was asked
    plain = Queries(library.memory.database, library.memory.library, library.memory.findings, library.queries.follower)
    assert words == await plain.on_search(
        Search(corpora=("a",), query="lease"), Envelope(message_id="m", type="search.v1")
    )


async def test_no_answer_in_time_leaves_words_alone_and_the_next_search_does_not_wait(library: Library) -> None:
    await library.memory.put("a", one="The lease ends.")
    await library.embedder.catch_up()
    library.model.away = True
    before = len(library.model.asked)
    for _ in range(3):
        found = await library.search("lease")
        assert (found.found_by, [p.source for p in found.passages]) == ("words", ["one"])
    assert len(library.model.asked) == before + 1


async def test_a_goal_sees_no_vectors_that_came_after_it_began(library: Library) -> None:
    began = await library.memory.put("a", one="The lease ends.", two="The queue grows.")
    before = await library.search("lease loan", watermark=began)
    await library.embedder.catch_up()
    assert await library.search("lease loan", watermark=began) == before
    async with library.memory.database.read() as connection:
        now, _ = await library.memory.library.watermark(connection)
    assert (await library.search("loan", watermark=now)).found_by == "words and vectors"


async def test_after_a_crash_it_goes_on_where_it_was(library: Library) -> None:
    text = "\n\n".join(
        " ".join(f"The lease {n}.{m} of a worker ends when its time is over." for m in range(18)) for n in range(60)
    )
    await library.memory.put("a", long=text)
    library.model.crash_after = 3  # the probe and two batches
    with pytest.raises(asyncio.CancelledError):
        await library.embedder.catch_up()
    assert await library.rows("ollama/m") == (2 * BATCH, 0)
    assert (await library.search("loan")).passages == ()  # half a text is not searched by vectors
    again = _library(library.memory, Model())
    await again.embedder.catch_up()
    first = {text for batch in library.model.asked[1:3] for text in batch}
    assert not first & {text for batch in again.model.asked for text in batch}
    count, whole = await again.rows("ollama/m")
    assert (count > 2 * BATCH, whole) == (True, 1)


async def test_another_model_embeds_everything_anew_and_is_never_mixed(library: Library) -> None:
    await library.memory.put("a", one="The lease ends.", two="The queue grows.")
    await library.embedder.catch_up()
    library.model.engine = "ollama/other"
    assert (await library.search("lease")).found_by == "words"  # its query came back from the other model
    await library.embedder.catch_up()
    assert await library.rows("ollama/m") == (0, 0)
    assert await library.rows("ollama/other") == (2, 2)
    assert (await library.search("loan")).embedder == "ollama/other"


async def test_a_passage_that_cannot_be_embedded_holds_nothing_up(library: Library) -> None:
    library.model.bad = "poison"
    await library.memory.put("a", one="The lease ends.", bad="The poison lease.")
    await library.embedder.catch_up()
    assert (await library.rows("ollama/m"))[1] == 2
    assert {p.source for p in (await library.search("lease")).passages} == {"one", "bad"}


async def test_vectors_go_with_their_text(library: Library) -> None:
    await library.memory.put("a", one="The lease ends.")
    await library.embedder.catch_up()
    async with library.memory.database.unit() as unit:
        await library.memory.library.remove_corpus(unit.connection, "a", now=NOW)
    async with library.memory.database.unit() as unit:
        assert await library.memory.library.purge(unit.connection, before=NOW + 1) == 1
    assert await library.rows("ollama/m") == (0, 0)


async def test_too_many_passages_are_searched_by_words_alone(library: Library) -> None:
    await library.memory.put("a", one="The lease ends.", two="The queue grows.")
    await library.embedder.catch_up()
    assert library.queries.vectors is not None
    library.queries.vectors.max_vectors = 1
    assert (await library.search("lease")).found_by == "words"


async def test_adding_and_searching_never_wait_for_the_model(library: Library) -> None:
    """Inference answers nothing at all while documents are added, found and removed; then it goes on by itself."""
    library.model.hold = asyncio.Event()
    running = asyncio.create_task(library.embedder.run())
    await library.memory.put("a", one="The lease ends.")
    library.embedder.wake()
    await _until(lambda: len(library.model.asked) == 1)  # it waits for its answer from here on
    await library.memory.put("a", two="The queue grows.")
    assert [p.source for p in (await library.search("queue")).passages] == ["two"]
    async with library.memory.database.unit() as unit:
        await library.memory.library.remove_corpus(unit.connection, "a", now=NOW)
    await library.memory.put("a", two="The queue grows.")
    library.model.hold.set()
    library.embedder.wake()
    await _until(lambda: library.embedder.engine is not None)
    async with asyncio.timeout(60):
        while (await library.search("row")).found_by == "words":
            await asyncio.sleep(0)
    assert [p.source for p in (await library.search("row")).passages] == ["two"]
    running.cancel()


async def test_what_was_added_last_is_embedded_first(library: Library) -> None:
    for n, name in enumerate(("old", "older", "new")):
        async with library.memory.database.unit() as unit:
            row, member = document(name, f"The {name} lease ends.")
            await library.memory.library.save(unit.connection, [row], now=NOW + (n == 2))
            await library.memory.library.set_members(
                unit.connection, "a", put_in=[member], take_out=(), now=NOW + (n == 2)
            )
    await library.embedder.catch_up()
    texts = [text for batch in library.model.asked for text in batch]
    assert texts[1] == "New\nThe new lease ends."  # after the question for the model's name
    assert len(texts) == 4


async def test_what_no_one_foresaw_ends_the_embedding_and_nothing_else(library: Library) -> None:
    await library.memory.put("a", one="The lease ends.")
    library.model.broken = True
    running = asyncio.create_task(library.embedder.run())
    await _until(lambda: len(library.model.asked) == 1)
    library.model.broken = False
    library.embedder.wake()
    await _until(lambda: library.embedder.engine is not None)
    assert not running.done()
    assert [p.source for p in (await library.search("lease")).passages] == ["one"]
    running.cancel()


async def test_what_is_embedded_is_not_embedded_again(library: Library) -> None:
    await library.memory.put("a", one="The lease ends.", two="The queue grows.")
    await library.embedder.catch_up()
    asked = len(library.model.asked)
    await library.embedder.catch_up()
    await library.memory.put("b", other="The lease ends.")  # a text that another corpus has
    await library.embedder.catch_up()
    assert len(library.model.asked) == asked
    again = _library(library.memory, Model())  # nor by a process that begins anew: it asks for the model's name only
    await again.embedder.catch_up()
    assert len(again.model.asked) == 1


async def test_a_removed_document_is_not_found_by_what_it_means(library: Library) -> None:
    await library.memory.put("a", one="The lease ends.", two="The queue grows.")
    await library.embedder.catch_up()
    async with library.memory.database.unit() as unit:
        await library.memory.library.set_members(unit.connection, "a", put_in=(), take_out=["one"], now=NOW)
    assert [p.source for p in (await library.search("loan")).passages] == ["two"]


async def test_the_vectors_of_a_model_that_is_no_more_go_in_portions(library: Library) -> None:
    many = {f"n{n}": f"The lease {n} ends." for n in range(2 * TEXTS + 3)}
    await library.memory.put("a", **many)
    await library.embedder.catch_up()
    library.model.engine = "ollama/other"
    assert (await library.search("lease")).found_by == "words"
    await library.embedder.catch_up()
    assert await library.rows("ollama/m") == (0, 0)
    assert await library.rows("ollama/other") == (len(many), len(many))


async def test_a_search_that_names_a_text_s_words_is_not_misled_by_vectors(library: Library) -> None:
    """`near` means the same as the query and has none of its words; `said` has all of them."""
    await library.memory.put("a", said="A loan of the museum in Basel.", near="Lease. " * 9, more="Other things.")
    words = await library.search("museum Basel loan")
    await library.embedder.catch_up()
    both = await library.search("museum Basel loan")
    assert (words.found_by, both.found_by) == ("words", "words and vectors")
    assert words.passages[0].source == both.passages[0].source == "said"
    assert {p.source for p in both.passages} == {"said", "near", "more"}


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0)
