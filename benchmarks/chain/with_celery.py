"""The chain as Celery tasks, in Celery's own environment: worker (`celery -A with_celery worker`) and starter.

Production settings as Celery's documentation has them: quorum queues, acknowledged late, rejected when the worker is
lost, confirms. Each task commits its inbox row and its state in one SQLite transaction, as a task of ours does.
"""

import os
import sqlite3
import sys
from typing import Any

from celery import Celery, chain  # type: ignore[import-not-found]  # in an environment of its own

TASKS, DONE = 4, "bench.done"
app = Celery("with_celery", broker=os.environ["BENCH_URL"], set_as_current=True)
app.conf.update(
    task_default_queue="bench.celery",
    task_default_queue_type="quorum",
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=int(os.environ.get("BENCH_PREFETCH", "1")),
    broker_transport_options={"confirm_publish": True},
    broker_connection_retry_on_startup=True,
)
_connections: dict[int, sqlite3.Connection] = {}


def database() -> sqlite3.Connection:
    """One connection per worker process."""
    if os.getpid() not in _connections:
        connection = sqlite3.connect(os.environ["BENCH_DB"], isolation_level=None, timeout=30)
        for statement in (
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=FULL",
            "CREATE TABLE IF NOT EXISTS inbox (message_id TEXT PRIMARY KEY, at TEXT DEFAULT CURRENT_TIMESTAMP)",
            "CREATE TABLE IF NOT EXISTS state (id INTEGER PRIMARY KEY, chain TEXT, task INTEGER)",
        ):
            connection.execute(statement)
        _connections[os.getpid()] = connection
    return _connections[os.getpid()]


@app.task(bind=True)  # type: ignore[untyped-decorator]  # Celery has no types
def step(self: Any, name: str, task: int) -> None:
    connection = database()
    connection.execute("BEGIN IMMEDIATE")
    known = connection.execute("INSERT OR IGNORE INTO inbox (message_id) VALUES (?)", (self.request.id,)).rowcount == 0
    if not known:
        connection.execute("INSERT INTO state (chain, task) VALUES (?, ?)", (name, task))
    connection.execute("COMMIT")
    if task == TASKS:
        with app.producer_pool.acquire(block=True) as producer:
            producer.publish(name, exchange="", routing_key=DONE, delivery_mode=2, serializer="json")


def main() -> None:
    """Starts a chain for each line of the input."""
    for line in sys.stdin:
        name = line.strip()
        chain(*(step.si(name, task) for task in range(1, TASKS + 1))).apply_async()


if __name__ == "__main__":
    main()
