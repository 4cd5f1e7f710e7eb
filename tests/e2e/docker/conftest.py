"""One mesh in containers for the whole lane: built once, started once with three researchers, removed at the end."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.e2e.docker.stack import ROOT, Stack

CORPUS = "brokers"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that break things come last, and among them the watchdog's death: file names say so, this keeps it."""
    items.sort(key=lambda item: getattr(item.module, "ORDER", 0) if item.path.parent == Path(__file__).parent else 0)


@pytest.fixture(scope="session")
def image() -> str:
    """The image, built from this checkout."""
    builder = Stack(project="warren-build", home=ROOT / ".warren")
    builder.compose("build", "broker-setup", timeout_s=600)
    return "warren:local"


@pytest.fixture(scope="session")
def stack(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The running mesh, with this project's own corpus in it."""
    stack = Stack(project=f"warren-test-{uuid4().hex[:6]}", home=tmp_path_factory.mktemp("docker") / "home")
    try:
        stack.up("--scale", "researcher=3")
        added = stack.warren("corpus", "add", CORPUS, str(ROOT / "infra/corpus"))
        assert added.returncode == 0, added.stderr + stack.logs()
        yield stack
    finally:
        stack.down()
