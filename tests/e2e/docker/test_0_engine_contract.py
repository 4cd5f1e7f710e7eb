"""The contract of engines, on containers, through the socket proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.docker.ground import ContainerGround, containers
from tests.engine_contract import EngineContract


class TestDockerEngine(EngineContract):
    @pytest.fixture
    async def ground(self, tmp_path: Path) -> AsyncIterator[ContainerGround]:  # type: ignore[override]
        async with containers(tmp_path) as ground:
            yield ground
