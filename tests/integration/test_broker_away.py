"""A broker that answers nothing for a while is an outage: nobody is restarted for it, and work goes on afterwards.

Twenty seconds, more than two heartbeats; a minute with WARREN_SOAK=1. The broker is not the mesh's own: that one would
be taken for hung and restarted (test_hung_broker.py).
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.testing.fault_proxy import FaultProxy
from tests.integration.brokers import private_broker
from tests.integration.test_killer_message import Mesh
from tests.integration.waiting import wait_until

AWAY_S = 60.0 if os.environ.get("WARREN_SOAK") else 20.0
OURS = ("planner-1", "memory-1")


@pytest.fixture
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with private_broker(tmp_path_factory.mktemp("broker")) as url:
        yield url


@pytest.mark.timeout(AWAY_S + 330)
async def test_nobody_is_restarted_while_the_broker_is_away(broker: str, tmp_path: Path) -> None:
    async with FaultProxy.to(broker) as line:
        mesh = Mesh(tmp_path, amqp_url=line.url)
        try:
            await asyncio.to_thread(_until_it_answers, mesh)
            before = {name: mesh.row(name)["pid"] for name in OURS}
            line.hold()
            await asyncio.to_thread(threading.Event().wait, AWAY_S)
            line.release()
            await asyncio.to_thread(_until_it_answers, mesh)
            assert {name: mesh.row(name)["pid"] for name in OURS} == before
            assert mesh.said("killing") == mesh.said("child_terminated") == []
        finally:
            await asyncio.to_thread(mesh.close)


def _until_it_answers(mesh: Mesh) -> None:
    wait_until(lambda: mesh.runs(*OURS), deadline_s=110, what="planner and worker run")
    wait_until(lambda: mesh.warren("dead", "list", "--json"), deadline_s=120, what="an answer from the planner")
