"""Starting a real RabbitMQ for a test session, and stopping it."""

import asyncio
import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.watchdog import rabbitmq_server
from shared.messaging.broker import Link
from tests.integration import engines

IMAGE = "rabbitmq:4.3-management"
START_S = 120.0


@contextlib.contextmanager
def private_broker(home: Path, *, erl_args: str = "") -> Iterator[str]:
    """The machine's own RabbitMQ as a private process under `home`. `erl_args`: `-rabbit NAME VALUE` for a setting that
    its configuration file does not know."""
    if rabbitmq_server.find_server() is None:
        pytest.skip("no rabbitmq-server on this machine (infra/setup --broker installs it)")
    spec = rabbitmq_server.prepare(home)
    environment = dict(spec.env)
    environment["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"] += f" {erl_args}"
    with (home / "out").open("ab") as out:
        process = subprocess.Popen(spec.argv, env=environment, stdout=out, stderr=out, start_new_session=True)
    try:
        asyncio.run(rabbitmq_server.wait_ready(spec, timeout_s=START_S))
        asyncio.run(_answers(spec.amqp_url))
        yield spec.amqp_url
    finally:
        process.kill()
        process.wait()
        asyncio.run(rabbitmq_server.after_exit(spec))


@contextlib.contextmanager
def container_broker(*, policy: str = "") -> Iterator[str]:
    """The pinned RabbitMQ in a container, on a loopback port. `policy`: JSON, for all of its quorum queues."""
    engines.need_docker()
    from testcontainers.core.container import DockerContainer

    container = DockerContainer(IMAGE)
    container.ports["5672/tcp"] = ("127.0.0.1", None)  # with_exposed_ports would listen on all addresses
    with container:
        url = f"amqp://guest:guest@127.0.0.1:{container.get_exposed_port(5672)}/"
        asyncio.run(_answers(url))
        if policy:
            done = container.exec(["rabbitmqctl", "set_policy", "test", ".*", policy, "--apply-to", "quorum_queues"])
            assert done.exit_code == 0, done.output
        yield url


async def _answers(url: str) -> None:
    link = Link(url, name="test")
    await link.connect(wait_s=START_S)
    await link.close()
