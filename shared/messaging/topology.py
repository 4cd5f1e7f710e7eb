"""The wire map: every exchange and queue there is. Names carry a version, since arguments cannot be changed.

    client, service ── warren.commands (topic) ── cmd.<owner>.* ──> <owner>.v1 ──────────> consumer
                            │ no binding                              │ redelivered           │ Retryable
                            v                                         v                       v
                       warren.dead (fanout) <── attempts spent ── <owner>.v1.suspect   warren.retry.<delay> (fanout)
                            │                   or killed again      (prefetch 1)             │ TTL, then back to
                            v                                                                 v the queue by its name
                       dead-letters.v1 ──> planner: `parked`                           retry.<delay>.v1

    service ── warren.events (topic) ── evt.<publisher>.<event>.v1.<goal id> ──> watchers, and work queues that hear it
    service ── default exchange ── <service>.<instance>.<boot> or client.<id> (exclusive): replies and control

Work queues are quorum queues (chunks of documents are not: they would pass through the write-ahead log). Retries go to
one queue per delay, because a message's own TTL is looked at only at the head of a queue. Every dead-lettering is
at-least-once, which needs `reject-publish`. No queue has a useful delivery limit: consume.py counts attempts itself.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.contracts.catalogue import CONTRACTS
from shared.contracts.library import PutChunk
from shared.contracts.message import Command, Event
from shared.contracts.steps import AgentAnnounced, RenewStep, StepFinished, step_key
from shared.contracts.supervision import ChildDied

CLIENT = "client"
"""The broker user of people and their programs."""
COMMANDS = "warren.commands"
EVENTS = "warren.events"
DEAD = "warren.dead"
DEAD_LETTERS = "dead-letters.v1"
RETRY_DELAYS_S = (0.5, 2.0, 10.0, 60.0)
"""Seconds before attempts 2, 3, 4 and 5; later attempts wait as long as the last."""
MAX_ATTEMPTS = 5
HANDLER_S = 120.0
"""The longest that a handler may take with a message before its process counts as stalled and is restarted: longer than
any wait for a confirm, a database or a reply that a handler may make. A queue whose work takes longer says so."""
CONSUMER_TIMEOUT_MS = 2 * 3600 * 1000
"""How long a step may stay unacknowledged: longer than any step with its lease (brokers before 3.12 ignore it)."""

SERVICES = ("planner", "memory", "inference", "researcher", "writer", "watchdog", "cli")


@dataclass(frozen=True)
class WorkQueue:
    """A shared queue of one owner. `commands`, `events`: routing keys bound. `prefetch`: deliveries in hand at once."""

    name: str
    owner: str
    commands: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    prefetch: int = 16
    kind: Literal["quorum", "classic"] = "quorum"
    arguments: dict[str, Any] = field(default_factory=dict, hash=False)
    handler_s: float = HANDLER_S
    """How long a handler of this queue may take. Time without a broker, or without a processor, does not count."""

    @property
    def suspect(self) -> str:
        """Where a redelivered message waits to be handled alone."""
        return f"{self.name}.suspect"

    def all_arguments(self) -> dict[str, Any]:
        if self.kind == "classic":
            return {"x-dead-letter-exchange": DEAD, **self.arguments}
        return {**_quorum(delivery_limit=1000), **self.arguments}

    def suspect_arguments(self) -> dict[str, Any]:
        """Two deliveries at most: a second death in the hands of one consumer alone is proof enough."""
        return {**_quorum(delivery_limit=1), **self.arguments}


def _quorum(*, delivery_limit: int, dead_letter_exchange: str = DEAD) -> dict[str, Any]:
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": delivery_limit,
        "x-dead-letter-exchange": dead_letter_exchange,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def heard(event: type[Event]) -> str:
    """The binding that hears this event from any publisher about any subject."""
    return f"evt.*.{event.type_name()}.*"


def _commands(owner: str, *, but: tuple[type[Command], ...] = ()) -> tuple[str, ...]:
    mine = (c for c in CONTRACTS.values() if issubclass(c, Command) and c.owner == owner and c not in but)
    return tuple(sorted(c.key() for c in mine))


def agent_queue(agent: str) -> WorkQueue:
    """The work queue of an agent. Prefetch 1 per slot: a step may take minutes and may kill its worker."""
    return WorkQueue(
        f"{agent}.v1",
        agent,
        (step_key(agent),),
        prefetch=2,
        arguments={"x-consumer-timeout": CONSUMER_TIMEOUT_MS},
        handler_s=CONSUMER_TIMEOUT_MS / 1000,
    )


PLANNER = WorkQueue(
    "planner.v1",
    "planner",
    _commands("planner"),
    (heard(StepFinished), heard(RenewStep), heard(ChildDied), heard(AgentAnnounced)),
    prefetch=64,
)
MEMORY = WorkQueue("memory.v1", "memory", _commands("memory", but=(PutChunk,)), prefetch=32)
MEMORY_TRANSFER = WorkQueue("memory.transfer.v1", "memory", (PutChunk.key(),), prefetch=8, kind="classic")
INFERENCE = WorkQueue("inference.v1", "inference", _commands("inference"), prefetch=64, handler_s=900.0)
"""An embedding may have to wait for its model to be loaded."""
WATCHDOG = WorkQueue("watchdog.v1", "watchdog", _commands("watchdog"), kind="classic")
RESEARCHER = agent_queue("researcher")
WRITER = agent_queue("writer")
WORK_QUEUES = (PLANNER, MEMORY, MEMORY_TRANSFER, INFERENCE, WATCHDOG, RESEARCHER, WRITER)


@dataclass(frozen=True)
class RetryQueue:
    """Messages wait here `delay_s` seconds and go back to the queue that their routing key names."""

    delay_s: float

    @property
    def label(self) -> str:
        return f"{round(self.delay_s * 1000)}ms"

    @property
    def exchange(self) -> str:
        return f"warren.retry.{self.label}"

    @property
    def name(self) -> str:
        return f"retry.{self.label}.v1"

    def arguments(self) -> dict[str, Any]:
        return {**_quorum(delivery_limit=1000, dead_letter_exchange=""), "x-message-ttl": round(self.delay_s * 1000)}


RETRY_QUEUES = tuple(RetryQueue(delay) for delay in RETRY_DELAYS_S)


def retry_queue(attempt: int) -> RetryQueue:
    """The queue in which a message waits before attempt number `attempt` (2 is the first retry)."""
    return RETRY_QUEUES[max(0, min(attempt - 2, len(RETRY_QUEUES) - 1))]


@dataclass(frozen=True)
class Exchange:
    name: str
    kind: Literal["topic", "fanout"]
    arguments: dict[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Queue:
    name: str
    arguments: dict[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Binding:
    exchange: str
    queue: str
    key: str


def exchanges() -> Iterator[Exchange]:
    """A command that no binding takes is not lost: the alternate exchange makes it a dead letter."""
    yield Exchange(DEAD, "fanout")
    yield Exchange(COMMANDS, "topic", {"alternate-exchange": DEAD})
    yield Exchange(EVENTS, "topic")
    for retry in RETRY_QUEUES:
        yield Exchange(retry.exchange, "fanout")


def queues(more: Iterable[WorkQueue] = ()) -> Iterator[Queue]:
    """`more`: work queues of agents that are not Warren's own."""
    yield Queue(DEAD_LETTERS, {"x-queue-type": "quorum", "x-delivery-limit": 1000})
    for work in (*WORK_QUEUES, *more):
        yield Queue(work.name, work.all_arguments())
        yield Queue(work.suspect, work.suspect_arguments())
    for retry in RETRY_QUEUES:
        yield Queue(retry.name, retry.arguments())


def bindings(more: Iterable[WorkQueue] = ()) -> Iterator[Binding]:
    yield Binding(DEAD, DEAD_LETTERS, "")
    for work in (*WORK_QUEUES, *more):
        yield from (Binding(COMMANDS, work.name, key) for key in work.commands)
        yield from (Binding(EVENTS, work.name, key) for key in work.events)
    for retry in RETRY_QUEUES:
        yield Binding(retry.exchange, retry.name, "")
