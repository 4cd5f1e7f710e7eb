"""What the simulated memory holds from the beginning: a corpus of two small texts, parsed and cut as real ones are."""

from collections.abc import Coroutine
from hashlib import sha256
from typing import Any

from sqlalchemy import update

from services.memory.extract import extract
from services.memory.parsers import Parsed
from services.memory.passages import cut
from services.memory.store import LibraryStore
from services.memory.tables import library_clock
from services.memory.transfer import Member
from tests.sim.store import Store

CORPUS = "papers"
TEXTS = {
    "quorum.md": "# Quorum queues\n\nQuorum queues keep every message on three nodes of a cluster. A quorum queue "
    "confirms a message once two nodes have written it. Quorum queues were added in RabbitMQ 3.8. A quorum queue "
    "elects a new leader within ten seconds after its node has failed.\n",
    "classic.md": "# Classic queues\n\nClassic queues keep every message on a single node. A classic queue loses its "
    "messages when the disk of that node is lost. Classic queues can be exclusive to one connection. Classic queues "
    "write persistent messages to disk in batches.\n",
}
QUESTIONS = ("How do quorum queues keep a message?", "How do classic queues keep a message?")


class _Plain:
    """A connection outside of the simulated world."""

    def __init__(self, store: Store) -> None:
        self._connection, self.dialect = store.slow, store.slow.dialect

    async def execute(self, statement: Any, parameters: Any = None) -> Any:
        return self._connection.execute(statement, parameters)


async def _fill(connection: Any) -> None:
    library, members, outcomes = LibraryStore(), [], []
    for name, text in TEXTS.items():
        data = text.encode()
        document = extract(data, kind="md", name=name)
        raw = sha256(data).hexdigest()
        outcomes.append((raw, "md", Parsed(document, tuple(cut(document)))))
        members.append(Member(name, raw, document.sha256))
    await library.save(connection, outcomes, now=0.0)
    await library.set_members(connection, CORPUS, put_in=members, take_out=(), now=0.0)
    # its id is drawn at random otherwise, and a seed must always be the same schedule
    await connection.execute(update(library_clock).values(library="simulated"))


def fill(store: Store) -> None:
    """From now on a reset of this store brings back the corpus."""
    _at_once(_fill(_Plain(store)))
    store.slow.commit()
    store.keep()


def _at_once(work: Coroutine[Any, Any, None]) -> None:
    """Runs what never waits."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits for something")
