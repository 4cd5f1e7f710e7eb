"""What holds a mesh up right now, in one line: where work waits although everybody there works."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from shared.contracts.generation import DescribeEngine, EngineDescribed
from shared.errors import WarrenError

if TYPE_CHECKING:
    from services.cli.connection import MeshClient

LOOK_S, PATIENCE_S = 2.0, 3.0


def bottleneck(engine: EngineDescribed) -> str | None:
    """`inference: 1 slot, 7 waiting: more researchers will not help`; None while a slot is free or nobody waits."""
    if engine.waiting == 0 or engine.running < engine.slots:
        return None
    slots = f"{engine.slots} slot{'' if engine.slots == 1 else 's'}"
    return f"inference: {slots}, {engine.waiting} waiting: more researchers will not help"


async def keep_looking(client: MeshClient, tell: Callable[[str | None], None]) -> None:
    """Every two seconds until cancelled. Nobody answers: nothing is known, and nothing is said."""
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            tell(bottleneck(await client.ask(DescribeEngine(), EngineDescribed, deadline_s=PATIENCE_S)))
        except WarrenError:
            tell(None)
