"""Real brokers for the delivery suite: the oldest RabbitMQ that must work, and the newest."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.brokers import container_broker, private_broker
from tests.integration.planning import planner

__all__ = ["planner"]
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")


@pytest.fixture(scope="session", params=["host", "container"])
def amqp_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an empty broker: the machine's own RabbitMQ (Debian 12: 3.10), and 4.3 in a container."""
    home: Path = tmp_path_factory.mktemp("broker")
    with private_broker(home) if request.param == "host" else container_broker() as url:
        yield url
