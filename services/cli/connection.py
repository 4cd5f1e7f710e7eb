"""Talking to the mesh. The protocol is what commands need of a client; tests bring a double of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol, TypeVar

from services.cli.mesh import Mesh, announce, locate
from shared.contracts.message import Command, Event, Message

R = TypeVar("R", bound=Message)


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

    def watch(self, subject: str, *events: type[Event]) -> AbstractAsyncContextManager[asyncio.Queue[Event]]:
        """A queue on which these events about this subject arrive from now on."""


@asynccontextmanager
async def connected(url: str | None = None, *, mesh: Mesh | None = None) -> AsyncIterator[MeshClient]:
    """A client of the mesh that `mesh.py` finds, which is said on stderr. Raises NoMesh, with what to do."""
    from services.cli.quiet import silence_libraries
    from shared.runtime.client import Client

    silence_libraries()
    mesh = mesh or locate(url)
    announce(mesh)
    async with Client.connect(mesh.url, timeout_s=5.0) as client:
        yield client
