"""A real PostgreSQL for a test module, on a loopback port of its own."""

import contextlib
from collections.abc import Iterator

from tests.integration import engines

IMAGE = "pgvector/pgvector:pg17"


@contextlib.contextmanager
def postgres_container() -> Iterator[str]:
    """Its address for asyncpg. The container goes with the block."""
    engines.need_docker()
    from testcontainers.community.postgres import PostgresContainer

    container = PostgresContainer(IMAGE, driver="asyncpg")
    container.ports = {"5432/tcp": ("127.0.0.1",)}
    with container:
        yield container.get_connection_url(host="127.0.0.1")
