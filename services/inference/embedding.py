"""Embeddings in batches: texts that are asked for at nearly the same time go to the model in one call.

Vectors leave here L2-normalised, so that a dot product is their cosine whatever the model makes of its own.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from services.inference.generation import EngineFailed
from shared.contracts.sensitivity import USUAL, Sensitivity

BATCH = 32
"""Texts of one call."""
WAIT_S = 0.010
"""How long the first text of a batch waits for others."""
MAX_CHARACTERS = 8_000
"""Of a text, more than embedding models read (all-minilm: 256 tokens); the rest is not sent."""
OF_THE_HOST = frozenset({"missing", "refused", "silent", "busy", "restricted"})
"""Troubles that no smaller batch would cure."""
DIGITS = 7
"""As many as a float32 of length 1 has: more would only make messages longer (16 vectors of 4,096 numbers fit one)."""
Vector = tuple[float, ...]
Ask = Callable[[Sequence[str]], Awaitable[tuple[str, list[Vector]]]]


@dataclass(frozen=True)
class Embeddings:
    """`vectors` in the order of the texts; an empty one where `failed` (index -> reason) says why."""

    engine: str
    vectors: tuple[Vector, ...]
    failed: dict[int, str]


@dataclass
class Batchers:
    """One for each level: what is restricted goes in no batch with anything else. `ask`: as of a `Batcher`, with the
    level. One per process."""

    ask: Callable[[Sequence[str], Sensitivity], Awaitable[tuple[str, list[Vector]]]]
    _of: dict[Sensitivity, "Batcher"] = field(default_factory=dict)

    async def embed(self, texts: Sequence[str], sensitivity: Sensitivity = USUAL) -> Embeddings:
        """As `Batcher.embed`."""
        if sensitivity not in self._of:
            self._of[sensitivity] = Batcher(lambda batch: self.ask(batch, sensitivity))
        return await self._of[sensitivity].embed(texts)


@dataclass(frozen=True)
class _Item:
    text: str
    done: "asyncio.Future[tuple[str, Vector]]"


@dataclass
class Batcher:
    """`ask` embeds a batch: (engine, a vector per text), or raises EngineFailed. One per process."""

    ask: Ask
    size: int = BATCH
    wait_s: float = WAIT_S
    _waiting: list[_Item] = field(default_factory=list)
    _timer: asyncio.TimerHandle | None = None
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Each text has a fate of its own. Raises EngineFailed when none of them got a vector."""
        items = [self._add(text[:MAX_CHARACTERS]) for text in texts]
        outcomes = await asyncio.gather(*(item.done for item in items), return_exceptions=True)
        engine, vectors, failed = "", list[Vector](), dict[int, str]()
        last: EngineFailed | None = None
        for index, outcome in enumerate(outcomes):
            if isinstance(outcome, EngineFailed):
                last, failed[index] = outcome, outcome.reason
                vectors.append(())
            elif isinstance(outcome, BaseException):
                raise outcome
            elif engine and outcome[0] != engine:
                raise EngineFailed("broken", "the embedding model changed in the middle of the request: ask again")
            else:
                engine = outcome[0]
                vectors.append(outcome[1])
        if last is not None and not engine:
            raise last
        return Embeddings(engine, tuple(vectors), failed)

    def _add(self, text: str) -> _Item:
        loop = asyncio.get_running_loop()
        item = _Item(text, loop.create_future())
        self._waiting.append(item)
        if len(self._waiting) >= self.size:
            self._send()
        elif self._timer is None:
            self._timer = loop.call_later(self.wait_s, self._send)
        return item

    def _send(self) -> None:
        """Everything that waits, as one batch."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, self._waiting = [item for item in self._waiting if not item.done.done()], []
        if batch:
            task = asyncio.create_task(self._run(batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, batch: Sequence[_Item]) -> None:
        try:
            engine, vectors = await self.ask([item.text for item in batch])
            if len(vectors) != len(batch):
                raise EngineFailed("broken", f"{engine} gave {len(vectors)} vectors for {len(batch)} texts")
        except EngineFailed as error:
            if len(batch) == 1 or error.kind in OF_THE_HOST:
                _fail(batch, error)
                return
            for item in batch:  # one of them is bad: it shall fail alone
                await self._run([item])
        except BaseException as error:
            _fail(batch, error)
            if not isinstance(error, Exception):
                raise
        else:
            for item, vector in zip(batch, vectors, strict=True):
                _settle(item, engine, vector)


def _settle(item: _Item, engine: str, vector: Vector) -> None:
    length = math.sqrt(math.fsum(x * x for x in vector))
    if not length or not math.isfinite(length):
        _fail([item], EngineFailed("broken", f"{engine} gave no usable vector for this text"))
    elif not item.done.done():
        item.done.set_result((engine, tuple(round(x / length, DIGITS) for x in vector)))


def _fail(items: Sequence[_Item], error: BaseException) -> None:
    for item in items:
        if not item.done.done():
            item.done.set_exception(error)
