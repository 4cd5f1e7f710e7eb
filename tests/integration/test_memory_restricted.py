"""Restricted corpora: local hosts embed their documents and the queries about them, or nobody does. On SQLite and
PostgreSQL; the model plays inference, which answers a restricted text only where it has a local host."""

from dataclasses import dataclass, field

from services.memory.embedder import Embedder
from services.memory.handlers import Queries
from services.memory.hybrid import VectorSearch
from services.memory.vector_store import VectorStore
from shared.contracts.generation import Embed, Embedded
from shared.contracts.library import PassagesFound, Search
from shared.contracts.sensitivity import Sensitivity
from shared.errors import RequestFailed
from shared.messaging.envelope import Envelope
from tests.integration.memory_library import Memory, memory, postgres  # noqa: F401  (fixtures)

GATEWAY = "openai/gateway"


@dataclass
class Model:
    """`local`: the model that a local host has, "" for none."""

    local: str = ""
    asked: list[tuple[Sensitivity, str]] = field(default_factory=list)

    async def ask(self, command: Embed, reply: type[Embedded], *, deadline_s: float) -> Embedded:
        restricted = command.sensitivity == "restricted"
        self.asked += [(command.sensitivity, text) for text in command.texts]
        if restricted and not self.local:
            raise RequestFailed("no local host has it", kind="no_embedder")
        return Embedded(engine=self.local if restricted else GATEWAY, vectors=((1.0, 0.0),) * len(command.texts))

    def seen(self, level: Sensitivity) -> str:
        """All that was sent of this level, or may have been."""
        return "\n".join(text for asked, text in self.asked if asked == level)


async def library(held: Memory, model: Model) -> tuple[Embedder, Queries]:
    store = VectorStore(held.library)
    embedder = Embedder(
        held.database, held.library, store, model.ask, changed=held.follower.changed, restricted="hr-*, law"
    )
    near = VectorSearch(held.database, store, embedder, model.ask, wait_s=5)
    await held.put("open", one="The lease ends.", both="Everybody may read this, says the queue.")
    await held.put("hr-2026", two="Her salary rises.", both="Everybody may read this, says the queue.")
    await held.put("law", three="The contract is void.")
    return embedder, Queries(held.database, held.library, held.findings, held.follower, near)


async def search(queries: Queries, corpus: str, query: str, *, level: Sensitivity = "internal") -> PassagesFound:
    asked = Search(corpora=(corpus,), query=query, sensitivity=level)
    found = await queries.on_search(asked, Envelope(message_id="m", type="search.v1"))
    assert isinstance(found, PassagesFound)
    return found


async def test_without_a_local_host_they_are_searched_by_words_and_sent_to_nobody(memory: Memory) -> None:  # noqa: F811
    model = Model()
    embedder, queries = await library(memory, model)
    await embedder.catch_up()
    assert "The lease ends" in model.seen("internal")
    found = await search(queries, "hr-2026", "salary")
    assert (found.passages[0].source, found.found_by) == ("two", "words")
    assert (await search(queries, "open", "lease")).found_by == "words and vectors"
    restricted = await search(queries, "open", "lease of Mallory", level="restricted")
    assert (restricted.passages[0].source, restricted.found_by) == ("one", "words")
    assert (await search(queries, "open", "lease")).found_by == "words and vectors", "others do not suffer for it"
    for secret in ("salary", "contract", "Everybody", "Mallory"):
        assert secret not in model.seen("internal")


async def test_with_the_same_model_on_a_local_host_they_are_embedded_there(memory: Memory) -> None:  # noqa: F811
    model = Model(local=GATEWAY)
    embedder, queries = await library(memory, model)
    await embedder.catch_up()
    for secret in ("salary", "contract", "Everybody"):
        assert secret in model.seen("restricted")
        assert secret not in model.seen("internal")
    found = await search(queries, "hr-2026", "what she earns")
    assert found.found_by == "words and vectors"
    assert "what she earns" not in model.seen("internal")
    asked = len(model.asked)
    await embedder.catch_up()
    assert model.asked[asked:] == [("restricted", "warren")], "nothing twice"


async def test_another_model_on_a_local_host_makes_no_vectors_to_compare(memory: Memory) -> None:  # noqa: F811
    model = Model(local="ollama/other")
    embedder, queries = await library(memory, model)
    await embedder.catch_up()
    assert embedder.engine == GATEWAY
    assert (await search(queries, "hr-2026", "salary")).found_by == "words"
    assert embedder.engine == GATEWAY
    assert model.seen("restricted") in ("warren", "warren\nsalary")
