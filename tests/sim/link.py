"""A process's connection to the simulated broker."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from shared.errors import Retryable
from shared.messaging import topology
from shared.messaging.envelope import Outgoing
from tests.sim.broker import USER, Broker, Consumer, Queue
from tests.sim.loop import PROCESS, Process, point


def _is_copy(out: Outgoing) -> bool:
    """To a retry queue, a suspect queue or the dead letters: only deliveries that go back send there."""
    return (
        out.exchange.startswith("warren.retry") or out.exchange == topology.DEAD or out.routing_key.endswith("suspect")
    )


class SimLink:
    """What the product takes for its Link. Belongs to the process in which it is made."""

    broker: Broker

    def __init__(self, url: str, *, name: str, publish_timeout_s: float = 30.0, **_: Any) -> None:
        self.name, self.user, self.publish_timeout_s = name, USER, publish_timeout_s
        self.process: Process = PROCESS.get()
        self.on_reconnected: list[Callable[[], Awaitable[None]]] = []
        self.own, self._own_events, self._own_consumer = "", (), None
        self._consumers: list[tuple[str, Consumer]] = []
        self._up = asyncio.Event()
        self._lives = 0
        self.process.on_kill.append(lambda: self.broker.lost(self))

    @property
    def connected(self) -> bool:
        return self._up.is_set()

    async def connect(self, *, wait_s: float | None = None) -> None:
        await point("before_connect")

    async def declare(self, queues: Iterable[Any], bindings: Iterable[Any]) -> None:
        """The wire map is there from the beginning."""

    def consume(self, queue: str, on_message: Any, *, prefetch: int) -> None:
        self._consumers.append((queue, Consumer(self, on_message, prefetch)))

    def consume_own(self, queue: str, on_message: Any, *, events: Iterable[str] = ()) -> None:
        self.own, self._own_events = queue, tuple(events)
        self._consumers.append((queue, Consumer(self, on_message, 100, ack_first=True)))

    async def start(self) -> None:
        await point("before_start")
        while self.broker.down_until > self.broker.loop.now:
            await asyncio.sleep(self.broker.down_until - self.broker.loop.now)
        self._open()

    def _open(self) -> None:
        broker = self.broker
        if self.own:
            broker.queues[self.own] = Queue(self.own, {})
            broker.bind(self.own, self._own_events)
        for name, consumer in self._consumers:
            broker.queues[name].consumers.append(consumer)
        self._up.set()
        for name, _ in self._consumers:
            broker._pump(broker.queues[name])

    async def bind_own(self, key: str) -> None:
        self.broker.bind(self.own, [key])

    async def publish(self, out: Outgoing) -> None:
        """As the real one: through reconnects, again when the connection went before the confirm."""
        loop = asyncio.get_running_loop()
        deadline, copy = loop.time() + self.publish_timeout_s, _is_copy(out)
        if copy:
            asyncio.current_task().copied = out.message_id  # type: ignore[union-attr]
        while True:
            await point("before_copy" if copy else "before_publish")
            life = self._lives
            if self._up.is_set():
                self.broker.publish(out)
                await point("before_confirm")
                await asyncio.sleep(0.001 + loop.random.random() ** 4 * 0.2)
                if life == self._lives:
                    await point("after_confirm")
                    return
            try:
                async with asyncio.timeout_at(deadline):
                    await self._up.wait()
            except TimeoutError:
                raise Retryable(f"the broker did not confirm within {self.publish_timeout_s:.0f} s") from None

    def cut(self, for_s: float) -> None:
        """The connection breaks, and comes back after a while."""
        if not self._up.is_set() or self.process.dead:
            return
        self._up.clear()
        self._lives += 1
        self.broker.lost(self)
        self.broker.loop.outside_later(for_s, self._back)

    def _back(self) -> None:
        if self.broker.down_until > self.broker.loop.now:
            self.broker.loop.outside_later(self.broker.down_until - self.broker.loop.now, self._back)
        elif not self.process.dead:
            self.broker.loop.spawn(self.process, self._reconnected())

    async def _reconnected(self) -> None:
        self._open()
        for callback in self.on_reconnected:
            await callback()

    async def stop_consuming(self) -> None:
        pass

    async def close(self) -> None:
        pass
