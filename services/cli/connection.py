"""Talking to the mesh. The protocol is what commands need of a client; tests bring a double of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

from services.cli.handshake import broker_at
from services.cli.mesh import Mesh, announce, locate
from shared.errors import NoMesh

if TYPE_CHECKING:
    from shared.contracts.message import Command, Event, Message
    from shared.runtime.client import Client

R = TypeVar("R", bound="Message")
RESTART_S, FIRST_S = 10.0, 2.0
"""Seconds for a broker to answer: of a mesh that is known to run (it may be restarting), and of an address alone."""


class MeshClient(Protocol):
    """One connection to the broker as a client. Survives reconnects."""

    async def ask(
        self, command: Command, reply: type[R], *, deadline_s: float = 10.0, message_id: str | None = None
    ) -> R:
        """The answer. Raises RequestFailed or NoReply."""

    async def publish(self, command: Command, *, message_id: str | None = None) -> str:
        """Publishes and waits for the broker's confirm."""

    def goal_id(self, message_id: str) -> str:
        """The id of the goal that a message with this id submits."""

    def watch(
        self, subject: str, *events: type[Event], most: int = 0
    ) -> AbstractAsyncContextManager[asyncio.Queue[Event]]:
        """A queue on which these events about this subject arrive from now on; `most`: then the oldest give way."""


@asynccontextmanager
async def connected(url: str | None = None, *, mesh: Mesh | None = None) -> AsyncIterator[Client]:
    """A client of the mesh that `mesh.py` finds, which is said on stderr. Raises NoMesh, with what to do."""
    mesh = mesh or locate(url)
    announce(mesh)
    known = mesh.found_by.endswith("mesh.json")
    if not known and not (found := broker_at(mesh.url)).answers:  # said at once, without loading half of PyPI
        raise NoMesh(f"no broker answers at {mesh.address}: {found.problem}")
    from services.cli.quiet import silence_libraries
    from shared.runtime.client import Client

    silence_libraries()
    async with Client.connect(mesh.url, timeout_s=RESTART_S if known else FIRST_S) as client:
        yield client
