"""One mesh in containers for the whole lane: built once, started once with three researchers, removed at the end."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.e2e.docker.stack import FAULT_FILE, ROOT, Stack

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
    trees = tmp_path_factory.mktemp("trees")
    shutil.copy(ROOT / "infra/supervision.toml", trees)
    (trees / "supervision.toml").chmod(0o644)
    for folder in (trees, *trees.parents[:2]):  # the watchdog is another user
        folder.chmod(0o755)
    stack = Stack(
        project=f"warren-test-{uuid4().hex[:6]}",
        home=tmp_path_factory.mktemp("docker") / "home",
        more={"WARREN_TREE_FOLDER": str(trees), "WARREN_CRASH_FILE": FAULT_FILE},
    )
    try:
        stack.up("--scale", "researcher=3")
        added = stack.warren("corpus", "add", CORPUS, str(ROOT / "infra/corpus"))
        assert added.returncode == 0, added.stderr + stack.logs()
        yield stack
    finally:
        stack.down()
