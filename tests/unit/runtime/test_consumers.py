"""A consumer that the broker has forgotten is noticed; one that is only on its way back is left alone."""

import asyncio
from dataclasses import dataclass, field

import pytest

from shared.errors import WarrenError
from shared.runtime.consumers import keep_consuming


@dataclass
class Link:
    """`answers`: what the broker says, one question after another; the last for ever."""

    answers: list[list[str] | Exception]
    consuming: bool = True
    asked: int = 0
    again: list[str] = field(default_factory=list)
    broken: bool = False

    async def forgotten(self) -> list[str]:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def consume_again(self, queue: str) -> None:
        self.again.append(queue)
        if self.broken:
            raise ConnectionError("no")


async def ask(link: Link, times: int) -> None:
    """Until the broker was asked so often, and once more: then the last answer has been taken."""
    keeping = asyncio.create_task(keep_consuming(link, every_s=0))
    async with asyncio.timeout(5):
        while link.asked <= times and not keeping.done():
            await asyncio.to_thread(lambda: None)
    keeping.cancel()
    done = (await asyncio.gather(keeping, return_exceptions=True))[0]
    if isinstance(done, WarrenError):
        raise done


async def test_a_queue_without_a_consumer_twice_in_a_row_is_subscribed_to_again():
    link = Link([[], ["memory.v1"], ["memory.v1"], []])
    await ask(link, 5)
    assert link.again == ["memory.v1"]


async def test_once_is_not_enough():
    link = Link([["memory.v1"], [], ["memory.v1"], ["memory.v1.suspect"], []])
    await ask(link, 6)
    assert link.again == []


async def test_a_question_that_fails_says_nothing():
    link = Link([["memory.v1"], ConnectionError("gone"), ["memory.v1"], []])
    await ask(link, 5)
    assert link.again == ["memory.v1"]


@pytest.mark.parametrize("broken", [False, True])
async def test_if_it_does_not_help_the_process_ends(broken: bool):
    link = Link([["memory.v1"]], broken=broken)
    with pytest.raises(WarrenError, match=r"memory\.v1"):
        await ask(link, 9)
    assert link.again == ["memory.v1"] * 2


async def test_who_drains_or_waits_for_the_broker_is_not_asked():
    link = Link([["memory.v1"]], consuming=False)
    keeping = asyncio.create_task(keep_consuming(link, every_s=0))
    for _ in range(100):
        await asyncio.to_thread(lambda: None)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert (link.asked, link.again) == (0, [])
