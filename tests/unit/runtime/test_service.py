"""What a service does when its background work ends."""

import asyncio
from pathlib import Path

import pytest

from shared.errors import WarrenError
from shared.runtime.service import Service
from shared.runtime.settings import MeshSettings


async def test_background_work_that_a_library_cancelled_fails_the_service(tmp_path: Path) -> None:
    """A relay that ends unseen would leave the outbox full for ever."""
    service = Service("memory", MeshSettings(home=tmp_path))
    service.failed = asyncio.get_running_loop().create_future()

    async def work() -> None:
        raise asyncio.CancelledError

    service._spawn(work)
    with pytest.raises(WarrenError, match=r"work was cancelled"):
        await asyncio.wait_for(service.failed, 10)
