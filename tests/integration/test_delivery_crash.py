"""Processes that die: in a handler, and between commit and publish. Real processes, real brokers."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from services.planner.app import build
from services.planner.settings import Settings
from shared.contracts.dead_letters import (
    DeadLetter,
    DeadLetterShown,
    DeadLettersListed,
    ListDeadLetters,
    ShowDeadLetter,
)
from shared.runtime.client import Client
from tests.integration.scratch import KEY, running
from tests.integration.scratch_process import ScratchProcess, scratch_process
from tests.integration.wire import DEADLINE_S, Wire, text_of, wire_to

DEATHS_S = 60.0
KILLED = "its consumer died with it more than once: it is taken for what kills it"
TICK = threading.Event()  # never set


@pytest.fixture
async def wire(amqp_url: str) -> AsyncIterator[Wire]:
    async with wire_to(amqp_url) as wire:
        yield wire


async def until(condition: Callable[[], object], *, what: str, timeout_s: float = DEATHS_S) -> None:
    """Looks again and again: a process that dies tells nobody."""
    try:
        async with asyncio.timeout(timeout_s):
            while not condition():
                await asyncio.to_thread(TICK.wait, 0.05)
    except TimeoutError:
        raise AssertionError(f"not within {timeout_s:g} s: {what}") from None


def log_of(process: ScratchProcess) -> str:
    return (process.home / "scratch.log").read_text()[-3000:]


async def test_of_20_messages_at_prefetch_20_exactly_the_killer_is_parked(
    amqp_url: str, wire: Wire, tmp_path: Path
) -> None:
    whats = [f"innocent{n}" for n in range(19)]
    for what in [*whats[:10], "die", *whats[10:]]:
        await wire.publish({"finding_id": what}, key=KEY, headers={"goal_id": "g"})
    planner = build(Settings(home=tmp_path / "planner", amqp_url=amqp_url, instance="planner-1"))
    async with running(planner), Client.connect(amqp_url, timeout_s=DEADLINE_S) as client:
        with scratch_process(amqp_url, tmp_path) as process:

            def all_done() -> bool:
                process.supervise()
                return len(process.done()) == len(whats)

            await until(all_done, what="19 effects")
            async with asyncio.timeout(DEATHS_S):
                letters: tuple[DeadLetter, ...] = ()
                while not letters:
                    process.supervise()
                    await asyncio.to_thread(TICK.wait, 0.05)
                    letters = (await client.ask(ListDeadLetters(), DeadLettersListed)).dead_letters
            assert process.starts <= 4, f"three deaths are enough to know the killer: {log_of(process)}"
            assert sorted(process.done()) == sorted(whats), "each of them once"
        assert [letter.reason for letter in letters] == [KILLED]
        assert letters[0].goal_id == "g"
        shown = await client.ask(ShowDeadLetter(id=letters[0].id), DeadLetterShown)
        assert shown.body == '{"finding_id": "die"}'
    for queue in ("memory.v1", "memory.v1.suspect"):
        assert await wire.depth(queue) == 0


async def test_what_was_committed_but_not_published_is_published_once_after_the_restart(
    amqp_url: str, wire: Wire, tmp_path: Path
) -> None:
    with scratch_process(amqp_url, tmp_path) as process:
        process.supervise()
        await wire.publish({"finding_id": "die-after"}, key=KEY, message_id="m1", reply_to=wire.reply_to)
        await until(lambda: process.exit_code() == 9, what="its death between commit and publish")
        assert process.done() == ["die-after"]
        assert await wire.depth("planner.v1") == 0
        assert wire.replies.empty()

        process.supervise()
        async with wire.listen("planner.v1") as said:
            async with asyncio.timeout(DEATHS_S):
                first = await said.get()
            # the redelivered message is known: it is answered again, and causes nothing again
            replies = [await wire.reply(), await wire.reply()]
            await wire.publish({"finding_id": "next"}, key=KEY)
            async with asyncio.timeout(DEATHS_S):
                second = await said.get()
        assert [text_of(m)["instance"] for m in (first, second)] == ["die-after", "next"]
        assert {reply.message_id for reply in replies} == {replies[0].message_id}
        assert process.done() == ["die-after", "next"]
