"""What becomes of a message, by what its handler does with it: a real service on real brokers, seen from outside."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.messaging import topology
from tests.integration.scratch import KEY, Scratch, scratch_on
from tests.integration.wire import DEADLINE_S, Wire, distinct, soon, text_of, wire_to


@pytest.fixture
async def wire(amqp_url: str) -> AsyncIterator[Wire]:
    async with wire_to(amqp_url) as wire:
        yield wire


@pytest.fixture
async def scratch(amqp_url: str, wire: Wire, tmp_path: Path) -> AsyncIterator[Scratch]:
    async with scratch_on(amqp_url, tmp_path) as scratch:
        yield scratch


async def test_the_same_message_twice_has_one_effect_and_two_equal_replies(wire: Wire, scratch: Scratch) -> None:
    for _ in range(2):
        await wire.publish({"finding_id": "a"}, key=KEY, message_id="m1", reply_to=wire.reply_to, correlation_id="mine")
    first, second = await wire.reply(), await wire.reply()
    assert (first.body, first.message_id) == (second.body, second.message_id)
    assert text_of(first) == {"count": 1}
    assert (first.type, first.correlation_id, first.headers["causation_id"]) == ("done.v1", "mine", "m1")
    assert await scratch.done() == ["a"]
    assert len(scratch.seen) == 1
    assert len(await wire.bodies("planner.v1", 1)) == 1
    assert await wire.depth("planner.v1") == 0


async def test_what_a_message_causes_has_an_id_that_derives_from_it(wire: Wire, scratch: Scratch) -> None:
    ids = []
    for _ in range(2):
        await wire.publish({"finding_id": "a"}, key=KEY, message_id="m1", headers={"goal_id": "g"})
        said = await wire.take("planner.v1")
        assert said.headers["causation_id"] == "m1"
        assert said.routing_key == "evt.memory.child_died.v1.s"
        ids.append(said.message_id)
        async with scratch.service.database.unit() as unit:  # as if the database had forgotten it
            await unit.connection.execute(scratch.service.database.messaging.inbox.delete())
    assert ids[0] == ids[1]


async def test_a_rejected_message_is_a_dead_letter_with_its_reason_and_its_sender_is_told(
    wire: Wire, scratch: Scratch
) -> None:
    properties = {"message_id": "m1", "correlation_id": "mine", "reply_to": wire.reply_to, "headers": {"goal_id": "g"}}
    await wire.publish({"finding_id": "reject"}, key=KEY, **properties)
    letter = await wire.take(topology.DEAD_LETTERS)
    assert text_of(letter) == {"finding_id": "reject"}
    assert (letter.message_id, letter.correlation_id, letter.reply_to) == ("m1", "mine", wire.reply_to)
    assert (letter.headers["goal_id"], letter.headers["reason"]) == ("g", "finding_id: never")
    assert (letter.headers["origin_queue"], letter.headers["attempt"], letter.type) == ("memory.v1", 1, "forget.v1")
    reply = await wire.reply()
    assert (reply.type, reply.correlation_id) == ("refused.v1", "mine")
    assert text_of(reply) == {
        "error": "rejected", "reason": "finding_id: never", "field": "finding_id", "hint": "try another",
    }  # fmt: skip
    assert await scratch.done() == []
    assert await wire.depth("planner.v1") == 0, "what a rejected message had published must not leave"


async def test_an_error_sends_a_counted_copy_to_the_retry_queue(wire: Wire, scratch: Scratch) -> None:
    async with wire.listen("retry.500ms.v1") as waiting:
        await wire.publish({"finding_id": "crash"}, key=KEY, message_id="m1", reply_to=wire.reply_to)
        copy = await soon(waiting)
    assert (copy.message_id, copy.reply_to, copy.routing_key) == ("m1", wire.reply_to, "memory.v1")
    assert (copy.headers["attempt"], copy.headers["reason"]) == (2, "RuntimeError: the handler broke")
    assert await scratch.done() == []
    assert wire.replies.empty()


@pytest.mark.parametrize(("attempt", "queue"), [(2, "2000ms"), (3, "10000ms"), (4, "60000ms")])
async def test_each_attempt_waits_longer(wire: Wire, scratch: Scratch, attempt: int, queue: str) -> None:
    async with wire.listen(f"retry.{queue}.v1") as waiting:
        await wire.publish({"finding_id": "crash"}, key=KEY, headers={"attempt": attempt})
        assert (await soon(waiting)).headers["attempt"] == attempt + 1


async def test_a_message_that_succeeds_at_its_second_attempt_is_done_once(wire: Wire, scratch: Scratch) -> None:
    await wire.publish({"finding_id": "once"}, key=KEY, message_id="m1", reply_to=wire.reply_to)
    assert text_of(await wire.reply()) == {"count": 1}
    assert scratch.seen == [("once", 1), ("once", 2)]
    assert await scratch.done() == ["once"]


async def test_after_the_last_attempt_it_is_a_dead_letter_with_its_trace(wire: Wire, scratch: Scratch) -> None:
    headers = {"attempt": topology.MAX_ATTEMPTS}
    await wire.publish({"finding_id": "crash"}, key=KEY, message_id="m1", reply_to=wire.reply_to, headers=headers)
    letter = await wire.take(topology.DEAD_LETTERS)
    assert letter.message_id == "m1"
    assert letter.headers["reason"] == "5 attempts failed, the last with RuntimeError: the handler broke"
    assert letter.headers["attempt"] == 5
    assert 'raise RuntimeError("the handler broke")' in letter.headers["trace"]
    assert text_of(await wire.reply())["error"] == "failed"


async def test_a_deferred_message_comes_back_uncounted(wire: Wire, scratch: Scratch) -> None:
    await wire.publish({"finding_id": "defer"}, key=KEY, headers={"attempt": 5}, reply_to=wire.reply_to)
    assert text_of(await wire.reply()) == {"count": 1}
    assert scratch.seen == [("defer", 5), ("defer", 5)]
    assert await scratch.done() == ["defer"]


async def test_cancelled_work_is_settled_and_says_nothing(wire: Wire, scratch: Scratch) -> None:
    await wire.publish({"finding_id": "cancel"}, key=KEY, reply_to=wire.reply_to)
    await wire.publish({"finding_id": "next"}, key=KEY, reply_to=wire.reply_to)
    assert text_of(await wire.reply()) == {"count": 1}
    assert await scratch.done() == ["next"]
    await scratch.service.stop()
    assert await wire.depth("memory.v1") == 0, "settled: the broker has nothing to deliver again"
    assert wire.replies.empty()
    for queue in (topology.DEAD_LETTERS, "retry.500ms.v1", "memory.v1.suspect"):
        assert await wire.depth(queue) == 0


async def test_a_question_that_nobody_waits_for_any_more_is_dropped_but_work_is_done(
    wire: Wire, scratch: Scratch
) -> None:
    long_ago = {"deadline": 1_000_000_000}
    await wire.publish({"finding_id": "work"}, key=KEY, headers=long_ago, reply_to=wire.reply_to)
    assert text_of(await wire.reply()) == {"count": 1}


async def test_a_message_without_an_id_is_done(wire: Wire, scratch: Scratch) -> None:
    await wire.publish({"finding_id": "bare"}, key=KEY, message_id=None, reply_to=wire.reply_to)
    assert text_of(await wire.reply()) == {"count": 1}
    assert await scratch.done() == ["bare"]


async def test_a_reply_that_nobody_takes_is_dropped_and_the_work_stays_done(wire: Wire, scratch: Scratch) -> None:
    await wire.publish({"finding_id": "a"}, key=KEY, reply_to="client.gone")
    await wire.publish({"finding_id": "b"}, key=KEY, reply_to=wire.reply_to)
    await wire.reply()
    assert await scratch.done() == ["a", "b"]
    assert await wire.depth(topology.DEAD_LETTERS) == 0


async def test_a_drained_service_leaves_nothing_half_done(amqp_url: str, wire: Wire, tmp_path: Path) -> None:
    async with scratch_on(amqp_url, tmp_path):
        ids = [await wire.publish({"finding_id": f"{n}"}, key=KEY) for n in range(30)]
        await soon_nonempty(wire)
    left = await wire.depth("memory.v1") + await wire.depth("memory.v1.suspect")
    async with scratch_on(amqp_url, tmp_path) as again:
        await wire.publish({"finding_id": "last"}, key=KEY, reply_to=wire.reply_to)
        await wire.reply()
        async with wire.listen("planner.v1") as said:
            await distinct(said, len(ids))
        assert sorted(await again.done()) == sorted([*map(str, range(30)), "last"]), f"{left} were left to the second"


async def soon_nonempty(wire: Wire) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await wire.depth("planner.v1"):
            pass
