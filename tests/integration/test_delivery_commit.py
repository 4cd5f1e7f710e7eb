"""Many messages, few commits: counted from outside, at what the database says that it runs."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from shared.messaging.sqlite import driver_of
from tests.integration.scratch import KEY, Scratch, scratch_on
from tests.integration.wire import Wire, soon, text_of, wire_to


@pytest.fixture
async def wire(amqp_url: str) -> AsyncIterator[Wire]:
    async with wire_to(amqp_url) as wire:
        yield wire


@pytest.fixture
async def scratch(amqp_url: str, wire: Wire, tmp_path: Path) -> AsyncIterator[Scratch]:
    async with scratch_on(amqp_url, tmp_path) as scratch:
        yield scratch


async def statements_of(scratch: Scratch, hear: Callable[[str], None]) -> None:
    """Whatever SQLite itself says that its writer runs, from now on."""
    async with scratch.service.database.unit() as unit:  # its writer is kept for all that follow
        driver = driver_of(unit.connection)
    assert driver is not None
    driver.opened.set_trace_callback(hear)


async def effects_by_commit(scratch: Scratch) -> list[int]:
    """Grows by the number of effects in it with every commit."""
    sizes, now = [], 0

    def hear(statement: str) -> None:
        nonlocal now
        now += statement.startswith("INSERT INTO effects")
        if statement == "COMMIT":
            sizes.append(now)
            now = 0

    await statements_of(scratch, hear)
    return sizes


async def commits_of(scratch: Scratch) -> list[str]:
    """Grows by one with every commit."""
    commits: list[str] = []
    await statements_of(scratch, lambda statement: commits.append(statement) if statement == "COMMIT" else None)
    return commits


async def test_500_commands_at_once_share_commits_keep_their_order_and_are_all_answered(
    wire: Wire, scratch: Scratch
) -> None:
    sizes = await effects_by_commit(scratch)
    orders = [(sender, number) for number in range(100) for sender in "abcde"]
    async with scratch.service.database.unit(), asyncio.TaskGroup() as group:  # as a long commit: the others wait
        for sender, number in orders:
            body = {"finding_id": f"{sender}{number}"}
            group.create_task(wire.publish(body, key=KEY, reply_to=wire.reply_to, correlation_id=f"{sender}{number}"))
    answered = {(await wire.reply()).correlation_id for _ in orders}
    assert answered == {f"{sender}{number}" for sender, number in orders}
    assert max(sizes) >= 10, sizes  # of 20 that may be in hand
    done = await scratch.done()
    for sender in "abcde":
        mine = [what for what in done if what.startswith(sender)]
        assert mine == [f"{sender}{number}" for number in range(100)]


async def test_an_idle_service_commits_at_once(wire: Wire, scratch: Scratch) -> None:
    """No waiting for others to come: a command, its commit and its reply are one short way."""
    commits = await commits_of(scratch)
    loop = asyncio.get_running_loop()
    took = []
    for number in range(5):
        begun = loop.time()
        await wire.publish({"finding_id": str(number)}, key=KEY, reply_to=wire.reply_to)
        await wire.reply()
        took.append(loop.time() - begun)
        assert len(commits) >= number + 1
    assert min(took) < 0.25, f"goal 25 ms: {took}"


async def test_messages_that_fail_do_not_take_their_neighbours_with_them(wire: Wire, scratch: Scratch) -> None:
    kinds = [f"ok{n}" if n % 3 else "reject" for n in range(60)]
    async with asyncio.TaskGroup() as group:
        for what in kinds:
            group.create_task(wire.publish({"finding_id": what}, key=KEY, reply_to=wire.reply_to))
    answers = [(await wire.reply()).type for _ in kinds]
    assert answers.count("refused.v1") == kinds.count("reject")
    assert sorted(await scratch.done()) == sorted(what for what in kinds if what != "reject")


async def test_events_about_one_goal_leave_in_the_order_of_its_messages(wire: Wire, scratch: Scratch) -> None:
    async with wire.listen("planner.v1") as said:
        for number in range(200):
            await wire.publish({"finding_id": str(number)}, key=KEY, headers={"goal_id": "g"})
        heard = [json.loads((await soon(said)).body)["instance"] for _ in range(200)]
    assert heard == [str(number) for number in range(200)]


async def test_the_reply_of_a_message_that_came_twice_in_one_batch_is_given_twice(wire: Wire, scratch: Scratch) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(wire.publish({"finding_id": "a"}, key=KEY, message_id="m1", reply_to=wire.reply_to))
    assert [text_of(await wire.reply()) for _ in range(10)] == [{"count": 1}] * 10
    assert await scratch.done() == ["a"]
