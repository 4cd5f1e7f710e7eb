"""The chain as FastStream comes, in its own environment: defaults everywhere, nothing kept, nothing made durable."""

import asyncio
import os

from faststream import FastStream
from faststream.rabbit import RabbitBroker

TASKS, DONE = 4, "bench.done"
broker = RabbitBroker(os.environ["BENCH_URL"], logger=None)


def _task(number: int) -> None:
    @broker.subscriber(f"bench.faststream.{number}")
    async def on_message(name: str) -> None:
        await broker.publish(name, DONE if number == TASKS else f"bench.faststream.{number + 1}")


for each in range(1, TASKS + 1):
    _task(each)

if __name__ == "__main__":
    asyncio.run(FastStream(broker).run())
