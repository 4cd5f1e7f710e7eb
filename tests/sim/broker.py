"""The broker: the real wire map of `topology.py`, simulated. Queues, redeliveries, limits, time to live, confirms."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shared.errors import Rejected
from shared.messaging import topology
from shared.messaging.envelope import Outgoing
from tests.sim.loop import SimLoop, point

if TYPE_CHECKING:
    from tests.sim.link import SimLink

USER = "guest"
HEARTBEAT_S = 20.0
"""Two heartbeats missed: what a silent process held is delivered to others."""
ACK_S = 0.0005
"""How long the ack of an original that was copied is on its way: it is lost with a process that dies meanwhile."""


@dataclass(eq=False)
class Letter:
    """A message in a queue. `returns`: how often a consumer was lost with it."""

    out: Outgoing
    routing_key: str
    returns: int = 0
    headers: dict[str, Any] = field(default_factory=dict)
    exchange: str = ""


@dataclass(eq=False)
class Consumer:
    link: "SimLink"
    on_message: Callable[[Any], Awaitable[None]]
    prefetch: int
    ack_first: bool = False
    in_hand: list[Letter] = field(default_factory=list)


@dataclass(eq=False)
class Queue:
    name: str
    arguments: dict[str, Any]
    letters: deque[Letter] = field(default_factory=deque)
    consumers: list[Consumer] = field(default_factory=list)


class SimMessage:
    """What the product takes for aio-pika's IncomingMessage."""

    def __init__(self, broker: "Broker", queue: Queue, consumer: Consumer, letter: Letter) -> None:
        out = letter.out
        self.body, self.message_id, self.type = out.body, out.message_id, out.type
        self.exchange, self.expiration, self.timestamp = letter.exchange, None, None
        self.routing_key, self.reply_to, self.user_id = letter.routing_key, out.reply_to, USER
        self.correlation_id = out.correlation_id or out.message_id
        self.headers, self.priority, self.redelivered = dict(letter.headers), out.priority, letter.returns > 0
        self._broker, self._queue, self._consumer, self._letter = broker, queue, consumer, letter
        self.channel = self

    async def basic_qos(self, **_: Any) -> None:
        """Of the channel: what was sent on it before has been applied when this is answered."""
        await point("before_seen")
        self._open()
        await asyncio.sleep(2 * ACK_S)
        self._open()

    def _open(self) -> None:
        if self._consumer not in self._queue.consumers:
            raise RuntimeError("the channel is closed")

    async def nack(self, *, requeue: bool) -> None:
        await point("before_nack")
        self._open()
        if self._letter in self._consumer.in_hand:
            self._broker.returned(self._queue, self._consumer, self._letter)

    async def ack(self) -> None:
        copied = getattr(asyncio.current_task(), "copied", None) == self._letter.out.message_id
        await point("before_copy_ack" if copied else "before_ack")
        if self._letter not in self._consumer.in_hand:
            raise RuntimeError("the channel is closed")
        if copied:
            self._broker.loop.outside_later(ACK_S, self._settled)
        else:
            self._settled()
        await point("after_ack")

    def _settled(self) -> None:
        if self._letter in self._consumer.in_hand:
            self._broker.settled(self._queue, self._consumer, self._letter)


class Broker:
    """`trace` is told of everything. `duplicate`: the chance that a publish arrives twice (a confirm was lost)."""

    def __init__(self, loop: SimLoop, trace: Callable[..., None], *, duplicate: float = 0.0) -> None:
        self.loop, self.trace, self.duplicate = loop, trace, duplicate
        self.exchanges = {e.name: e for e in topology.exchanges()}
        self.queues = {q.name: Queue(q.name, q.arguments) for q in topology.queues()}
        self.bindings = [(b.exchange, b.queue, b.key.split(".")) for b in topology.bindings()]
        self.published: list[Outgoing] = []
        self.quiet = False
        self.down_until = 0.0
        self._routes: dict[tuple[str, str], list[str]] = {}

    def publish(self, out: Outgoing) -> None:
        """Raises Rejected when a mandatory message has nowhere to go."""
        self.published.append(out)
        self._route(Letter(out, out.routing_key, headers=dict(out.headers)), out.exchange)
        if not self.quiet and self.loop.random.random() < self.duplicate:
            self.trace("duplicated", out.type, out.message_id[:8])
            self._route(Letter(out, out.routing_key, headers=dict(out.headers)), out.exchange)

    def _route(self, letter: Letter, exchange: str) -> None:
        names = self._targets(exchange, letter.routing_key)
        if not names and "alternate-exchange" in getattr(self.exchanges.get(exchange), "arguments", {}):
            names = self._targets(topology.DEAD, "")
        if not names and (letter.out.mandatory and exchange not in (topology.EVENTS,)):
            raise Rejected(f"nobody listens on {exchange or 'queue'} {letter.routing_key}")
        for name in names:
            self._enqueue(self.queues[name], Letter(letter.out, letter.routing_key, 0, dict(letter.headers), exchange))

    def _targets(self, exchange: str, key: str) -> list[str]:
        if exchange == "":
            return [key] if key in self.queues else []
        if (exchange, key) not in self._routes:
            fanout, words = self.exchanges[exchange].kind == "fanout", key.split(".")
            bound = [(queue, pattern) for e, queue, pattern in self.bindings if e == exchange]
            found = [queue for queue, pattern in bound if fanout or _matches(pattern, words)]
            self._routes[exchange, key] = list(dict.fromkeys(found))
        return [queue for queue in self._routes[exchange, key] if queue in self.queues]

    def bind(self, queue: str, keys: Iterable[str]) -> None:
        self.bindings += [(topology.EVENTS, queue, key.split(".")) for key in keys]
        self._events_rerouted()

    def _events_rerouted(self) -> None:
        """The queues of processes come and go; they hear events only."""
        self._routes = {route: queues for route, queues in self._routes.items() if route[0] != topology.EVENTS}

    def _enqueue(self, queue: Queue, letter: Letter) -> None:
        ttl = queue.arguments.get("x-message-ttl")
        if ttl is not None:
            queue.letters.append(letter)
            self.loop.outside_later(ttl / 1000, self._expired, queue, letter)
            return
        random = self.loop.random
        if not self.quiet and queue.letters and random.random() < 0.2:
            queue.letters.insert(random.randrange(len(queue.letters)), letter)
        else:
            queue.letters.append(letter)
        self._pump(queue)

    def _expired(self, queue: Queue, letter: Letter) -> None:
        if self.down_until > self.loop.now:
            self.loop.outside_later(self.down_until - self.loop.now, self._expired, queue, letter)
            return
        queue.letters.remove(letter)
        self._dead_letter(queue, letter, "expired")

    def _dead_letter(self, queue: Queue, letter: Letter, reason: str) -> None:
        headers = {**letter.headers, "x-death": [{"queue": queue.name, "reason": reason}]}
        self._route(Letter(letter.out, letter.routing_key, 0, headers), queue.arguments["x-dead-letter-exchange"])

    def _pump(self, queue: Queue) -> None:
        while queue.letters:
            free = [c for c in queue.consumers if len(c.in_hand) < c.prefetch]
            if not free:
                return
            consumer = free[int(self.loop.random.random() * len(free))]
            letter = queue.letters.popleft()
            if not consumer.ack_first:
                consumer.in_hand.append(letter)
            delay = 0.001 + self.loop.random.random() ** 4 * 0.3
            self.loop.outside_later(delay, self._deliver, queue, consumer, letter)

    def _deliver(self, queue: Queue, consumer: Consumer, letter: Letter) -> None:
        if consumer not in queue.consumers or not (consumer.ack_first or letter in consumer.in_hand):
            return  # the connection went in the meantime: returned already
        message = SimMessage(self, queue, consumer, letter)
        process = consumer.link.process
        self.trace("deliver", process.name, queue.name, letter.out.type, letter.out.message_id[:8])
        self.loop.spawn(process, consumer.on_message(message))

    def settled(self, queue: Queue, consumer: Consumer, letter: Letter) -> None:
        consumer.in_hand.remove(letter)
        self._pump(queue)

    def returned(self, queue: Queue, consumer: Consumer, letter: Letter) -> None:
        consumer.in_hand.remove(letter)
        self._return(queue, letter)
        self._pump(queue)

    def lost(self, link: "SimLink") -> None:
        """A connection ended: what it held goes back, marked as redelivered; its exclusive queue is gone."""
        for queue in list(self.queues.values()):
            for consumer in [c for c in queue.consumers if c.link is link]:
                queue.consumers.remove(consumer)
                returned, consumer.in_hand = consumer.in_hand, []
                for letter in reversed(returned):
                    self._return(queue, letter)
        self.queues.pop(link.own, None)
        self.bindings = [b for b in self.bindings if b[1] != link.own]
        self._events_rerouted()
        for queue in list(self.queues.values()):
            self._pump(queue)

    def _return(self, queue: Queue, letter: Letter) -> None:
        letter.returns += 1
        if letter.returns > queue.arguments.get("x-delivery-limit", 1000):
            self._dead_letter(queue, letter, "delivery_limit")
        else:
            queue.letters.appendleft(letter)

    def busy(self) -> list[str]:
        """Queues with anything in them or in a consumer's hands."""
        return [q.name for q in self.queues.values() if q.letters or any(c.in_hand for c in q.consumers)]


def _matches(pattern: list[str], words: list[str]) -> bool:
    if len(pattern) != len(words):
        return False
    for wanted, word in zip(pattern, words, strict=True):  # noqa: SIM110  # half the time of all(): asked very often
        if wanted != word and wanted != "*":
            return False
    return True
