"""A broker that answers nothing for a while is an outage: nobody is restarted for it, and work goes on afterwards.

Twenty seconds, more than two heartbeats; a minute with WARREN_SOAK=1.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from services.watchdog.rabbitmq_server import find_server
from tests.integration.test_killer_message import Mesh
from tests.integration.waiting import wait_until

AWAY_S = 60.0 if os.environ.get("WARREN_SOAK") else 20.0


@pytest.fixture
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    if find_server() is None:
        pytest.skip("no rabbitmq-server on this machine (infra/setup --broker installs it)")
    mesh = Mesh(tmp_path_factory.mktemp("away"))
    try:
        wait_until(mesh.runs, deadline_s=110, what="broker, planner and worker run")
        yield mesh
    finally:
        mesh.close()


@pytest.mark.timeout(AWAY_S + 330)
def test_nobody_is_restarted_while_the_broker_is_away(mesh: Mesh):
    before = {name: mesh.row(name)["pid"] for name in ("broker-1", "planner-1", "memory-1")}
    os.killpg(before["broker-1"], signal.SIGSTOP)
    try:
        threading.Event().wait(AWAY_S)
    finally:
        os.killpg(before["broker-1"], signal.SIGCONT)
    wait_until(lambda: mesh.warren("dead", "list", "--json"), deadline_s=120, what="an answer from the planner")
    assert {name: mesh.row(name)["pid"] for name in before} == before
    assert mesh.said("killing") == mesh.said("child_terminated") == []
