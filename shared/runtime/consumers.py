"""Are we still heard? Asks the broker now and then whether it knows of our consumers, and subscribes again if not.

A process can believe that it consumes while the broker has forgotten it (a queue made anew, a cancellation that
got lost): connected, live, ready, and deaf. Counts are of all replicas: one that the broker forgot is not missed while
another is heard; its work is done by that one.
"""

import asyncio
from collections import Counter
from typing import Protocol

import structlog

from shared.errors import WarrenError

CHECK_S = 10.0
"""Between two questions, a passive declare for each queue."""
CERTAIN, HOPELESS = 2, 4
"""Questions in a row without a consumer: from the second on we subscribe again, at the fourth the process gives up."""
log = structlog.get_logger()


class Subscriptions(Protocol):
    """What `Link` says of them."""

    @property
    def consuming(self) -> bool: ...

    async def forgotten(self) -> list[str]: ...

    async def consume_again(self, queue: str) -> None: ...


async def keep_consuming(link: Subscriptions, *, every_s: float = CHECK_S) -> None:
    """Until cancelled. Raises WarrenError when subscribing again does not help: a fresh process may do better."""
    missed: Counter[str] = Counter()
    while True:
        await asyncio.sleep(every_s)
        try:
            found = await link.forgotten() if link.consuming else []
        except Exception as error:  # a connection that breaks meanwhile comes back by itself, consumers and all
            log.debug("consumers_not_counted", reason=f"{type(error).__name__}: {error}")
            continue
        missed = Counter({queue: missed[queue] + 1 for queue in found})
        for queue, times in missed.items():
            if times >= HOPELESS:
                raise WarrenError(f"the broker has no consumer of {queue}, although we subscribed to it again")
            if times >= CERTAIN:
                log.warning("consumer_forgotten", queue=queue)
                await _try(link, queue)


async def _try(link: Subscriptions, queue: str) -> None:
    try:
        await link.consume_again(queue)
    except Exception as error:
        log.warning("not_subscribed_again", queue=queue, reason=f"{type(error).__name__}: {error}")
