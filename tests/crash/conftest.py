"""One mesh for the lane, told by a file where to crash."""

from collections.abc import Iterator

import pytest

from tests.crash.crashing import CrashingMesh


@pytest.fixture(scope="session")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CrashingMesh]:
    mesh = CrashingMesh(tmp_path_factory.mktemp("mesh") / "home")
    mesh.play(latency_s=0.2)
    mesh.up()
    yield mesh
    mesh.down()
