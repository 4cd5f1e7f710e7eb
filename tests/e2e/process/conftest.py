"""One mesh for the whole lane, each test with goals and corpora of its own; what is killed comes back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.watchdog.rabbitmq_server import find_server
from tests.e2e.process.mesh import Mesh


@pytest.fixture(scope="session")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    if find_server() is None:
        pytest.skip("no rabbitmq-server on this machine (infra/setup --broker installs it)")
    mesh = Mesh(tmp_path_factory.mktemp("mesh") / "home")
    mesh.play(latency_s=1)
    mesh.up()
    yield mesh
    mesh.down()


@pytest.fixture(scope="session")
def shelf(mesh: Mesh, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small corpus by name."""
    folder: Path = tmp_path_factory.mktemp("shelf")
    (folder / "lamps.md").write_text(
        "# Harbour lamps\n\nThe north lamp burns whale oil and is lit at dusk by the keeper. "
        "The north lamp can be seen for 12 miles in clear weather.\n\n"
        "The south lamp burns gas and lights itself when the light falls below 40 lux. "
        "The south lamp can be seen for 18 miles in clear weather.\n"
    )
    (folder / "boats.txt").write_text(
        "Pilot boats leave the harbour one hour before high water. A pilot boat carries two oarsmen and a pilot. "
        "In fog the pilot boats wait at the inner buoy until the horn has sounded twice.\n"
    )
    answer = mesh.warren("corpus", "add", "shelf", str(folder))
    assert answer.returncode == 0, answer.stderr
    return "shelf"
