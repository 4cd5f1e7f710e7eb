import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from shared.testing.stub_ollama import StubOllama
from tests.chaos.ledger import Ledger
from tests.chaos.options import Options, parse
from tests.chaos.plan import Plan
from tests.chaos.run import Run
from tests.chaos.seen import Seen
from tests.chaos.strike import Striker
from tests.chaos.target import ProcessMesh
from tests.chaos.wire import Wire


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    mesh, seen, wire = ProcessMesh(tmp_path), Seen(), Wire("", "", lambda _: None, lambda _: None)
    striker = Striker(mesh, wire, seen, Plan(1, mesh.services), calls=lambda: 0)
    ledger = Ledger(tmp_path / "ledger")
    yield Run(Options(), mesh, cast(StubOllama, None), wire, ledger, seen, striker)
    ledger.close()


async def test_the_first_interrupt_ends_goals_and_kills_the_second_everything(run: Run) -> None:
    assert run.disturbing()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, run.end_early)
    os.kill(os.getpid(), signal.SIGINT)
    async with asyncio.timeout(10):
        while run.disturbing():
            await asyncio.sleep(0)
    await run.publish()
    assert not run.ledger.entries
    assert not asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)


def test_there_is_at_least_one_worker(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--workers", "0"])
    assert "at least 1" in capsys.readouterr().err
    assert parse(["--workers", "3"]).workers == 3
