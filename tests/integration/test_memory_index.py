"""The search index: built anew where it cannot be trusted."""

from pathlib import Path

from services.memory.tables import schema
from shared.messaging.database import Database
from shared.messaging.publish import Stamp
from tests.integration.memory_library import Memory, _nowhere, memory, postgres

__all__ = ["memory", "postgres"]


async def test_a_damaged_index_is_built_anew(memory: Memory) -> None:
    watermark = await memory.put("a", one="The lease of a worker ends.", two="A queue.")
    assert await memory.search("lease", "a") == ["one"]
    memory.index.close()
    memory.index.path.write_bytes(b"this is no database" * 1000)
    assert await memory.search("lease", "a", watermark=watermark) == ["one"]
    memory.index.close()
    memory.index.path.unlink()
    assert await memory.search("lease", "a") == ["one"]


async def test_an_index_of_another_library_is_not_used(memory: Memory, tmp_path: Path) -> None:
    await memory.put("a", one="The lease of a worker ends.")
    assert await memory.search("lease", "a") == ["one"]
    other = Database(f"sqlite+aiosqlite:///{tmp_path}/other.db", schema(), stamp=Stamp("memory", "memory-1"))
    await other.open(_nowhere)
    again = Memory(other, memory.index)
    await again.put("a", two="A lease.")
    assert await again.search("lease", "a") == ["two"]
    await other.close()


async def test_an_index_far_behind_reads_every_change_once(memory: Memory) -> None:
    for number in range(6):
        await memory.put("a", **{f"n{number}x{n}": f"Lease number {number} {n} of many." for n in range(90)})
    async with memory.database.read() as connection:
        seen, total = 0, 0
        while found := await memory.library.changes_after(connection, seen):
            seen, total = found[-1].seq, total + len(found)
    assert total == 6 * 90 + 1
    found = await memory.follower.ask(lambda index: index.documents(["a"]))
    assert found == 540
