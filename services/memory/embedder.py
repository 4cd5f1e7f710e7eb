"""Embeds the library's passages in the background, where inference has an embedding model. Nothing waits for it.

What is done is in the store: after a crash it goes on where it was. Two replicas may embed a text twice; both get the
same vectors. What was added last comes first, and half of the time the model is left to others.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog
from sqlalchemy.exc import DBAPIError

from services.memory.store import LibraryStore, StoredText
from services.memory.vector_store import VectorStore
from shared.contracts.generation import Embed, Embedded
from shared.contracts.sensitivity import Sensitivity, covered
from shared.errors import RequestFailed, WarrenError
from shared.messaging.database import Database

log = structlog.get_logger()
LOOK_S = 60.0
"""Between two looks for texts of other replicas, and for a model where there was none."""
BATCH = 16
"""Passages of one request: a second or two of a small machine, for which a question may have to wait."""
TEXTS = 20
REST = 1.0
"""Rest after a batch, in times of what it took: a large library must not hold up those who think with the same host."""
BATCH_WAIT_S = 300.0
"""A model may have to be loaded first."""
PROBE = "warren"


class Ask(Protocol):
    def __call__(self, command: Embed, reply: type[Embedded], *, deadline_s: float) -> Awaitable[Embedded]: ...


@dataclass
class Embedder:
    """`ask` asks inference. `engine`: the model whose vectors count, None until inference has named one."""

    database: Database
    library: LibraryStore
    store: VectorStore
    ask: Ask
    changed: Callable[[], None]
    """Tells the index that the library has a new change."""
    engine: str | None = None
    restricted: str = ""
    """Corpora whose texts only local hosts may be sent: a comma list (`shared.contracts.sensitivity.covered`)."""
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _said: str = ""
    _no_local: str = ""

    async def run(self) -> None:
        """For ever: at once after a change made here, else once a minute."""
        while True:
            try:
                await self.catch_up()
                self._said = ""
            except (WarrenError, DBAPIError, OSError) as error:
                self._say(str(error))
            except Exception as error:  # words go on finding: memory must not end with what only adds to them
                log.exception("not_embedding")
                self._said = str(error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._wake.wait()
            self._wake.clear()

    def _say(self, reason: str) -> None:
        if reason != self._said:  # no model is no news each minute
            log.info("not_embedding", reason=reason)
        self._said = reason

    def wake(self) -> None:
        self._wake.set()

    def named(self, engine: str) -> None:
        """Inference embeds with this model now: another one's vectors are of no use, and all is embedded anew."""
        if engine != self.engine:
            log.info("embedding_model", engine=engine, before=self.engine)
            self.engine = engine
            self.wake()

    async def catch_up(self) -> None:
        """Embeds all that is not embedded yet. Raises WarrenError where inference cannot."""
        async with self.database.read() as connection:
            if not await self.store.anything(connection):
                return
        if self.engine is None:
            await self._probe()
        assert self.engine is not None
        await self._embed_all("internal")
        if self.restricted and await self._has_local():
            await self._embed_all("restricted")
        dropped = 1
        while dropped:  # in portions: a commit that drops a whole library's vectors would hold up everybody else's
            async with self.database.unit(long=True) as unit:
                dropped = await self.store.drop_others(unit.connection, self.engine, limit=TEXTS)

    async def _embed_all(self, level: Sensitivity) -> None:
        """What is pending of this level. A text that any restricted corpus holds is restricted."""
        assert self.engine is not None
        while texts := await self._pending(self.engine, level):
            for text in texts:
                await self._embed(text, self.engine, level)

    async def _pending(self, engine: str, level: Sensitivity) -> list[str]:
        async with self.database.read() as connection:
            held = await self.store.corpora(connection) if self.restricted else []
            those = [name for name in held if covered(self.restricted, [name])]
            usual = level != "restricted"
            return await self.store.pending(connection, engine, limit=TEXTS, of=those, without=usual)

    async def _has_local(self) -> bool:
        """Does a local host have this very model? Without one, restricted corpora are searched by words alone."""
        probe = Embed(texts=(PROBE,), sensitivity="restricted")
        try:
            answer = await self.ask(probe, Embedded, deadline_s=BATCH_WAIT_S)
        except RequestFailed as error:
            if error.kind != "no_embedder":
                raise
            if error.reason != self._no_local:
                log.info("restricted_corpora_not_embedded", reason=error.reason)
            self._no_local = error.reason
            return False
        self._no_local = ""
        return answer.engine == self.engine

    async def _probe(self) -> None:
        self.named((await self.ask(Embed(texts=(PROBE,)), Embedded, deadline_s=BATCH_WAIT_S)).engine)

    async def _embed(self, text: str, engine: str, level: Sensitivity) -> None:
        """The rest of one text. Stops where the model turns out to be another one by now: then all begins again."""
        async with self.database.read() as connection:
            stored = await self.library.stored(connection, [text])
            first = await self.store.next_position(connection, text, engine)
        if not stored:  # purged since it was listed
            return
        passages = passage_texts(stored[0])
        for at in range(first, len(passages), BATCH):
            began = time.monotonic()
            vectors = await self._vectors(passages[at : at + BATCH], level)
            taken = time.monotonic() - began
            if self.engine != engine:
                return
            async with self.database.unit() as unit:
                await self.store.save(unit.connection, text, engine, dict(enumerate(vectors, start=at)))
            await asyncio.sleep(REST * taken)
        async with self.database.unit() as unit:
            await self.store.finish(unit.connection, text, engine)
        self.changed()

    async def _vectors(self, texts: Sequence[str], level: Sensitivity) -> Sequence[Sequence[float]]:
        """One each; empty where the model refuses this very text."""
        try:
            wanted = Embed(texts=tuple(texts), sensitivity=level)
            answer = await self.ask(wanted, Embedded, deadline_s=BATCH_WAIT_S)
        except RequestFailed as error:
            if error.kind != "embedding_failed":
                raise
            await self._probe()  # raises as well when it was the host and not the texts
            return [()] * len(texts)
        if level != "restricted":
            self.named(answer.engine)
        elif answer.engine != self.engine:  # what local hosts have says nothing about the others
            raise WarrenError(f"local hosts embed with {answer.engine} by now, all others with {self.engine}")
        return answer.vectors


def passage_texts(stored: StoredText) -> list[str]:
    """What is embedded of each passage: where it stands, and its words."""
    return [
        "\n".join(part for part in (stored.title, cut.heading, stored.text[cut.start : cut.end]) if part)
        for cut in stored.cuts
    ]
