"""Memory hears every command that is addressed to it."""

from pathlib import Path

from services.memory.app import build
from services.memory.settings import Settings
from shared.messaging.topology import MEMORY, MEMORY_TRANSFER


def test_every_command_of_memorys_queues_has_a_handler(tmp_path: Path) -> None:
    service = build(Settings(home=tmp_path, instance="memory-1"))
    for queue in (MEMORY, MEMORY_TRANSFER):
        assert sorted(message.key() for message in service._handlers[queue]) == sorted(queue.commands)
    assert not list(tmp_path.iterdir())
