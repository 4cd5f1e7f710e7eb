"""A broker that goes away for real and comes back: its process ends and starts again. In a home of its own.

RabbitMQ 3.10 writes the list of its quorum queues half a second after a declare; a SIGKILL before that loses the queue
and what is in it. So this test stops it cleanly; `test_private_broker.py` has the SIGKILL.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from services.watchdog import rabbitmq_server
from shared.contracts.findings import Forget
from shared.contracts.goals import SubmitGoal
from shared.contracts.message import Done
from shared.errors import Retryable
from shared.messaging.publish import Stamp
from shared.runtime.client import Client
from tests.integration.scratch import KEY, scratch_on
from tests.integration.wire import distinct, text_of, wire_to

START_S = 60.0

pytestmark = pytest.mark.skipif(rabbitmq_server.find_server() is None, reason="no rabbitmq-server here")


@asynccontextmanager
async def broker_of(home: Path) -> AsyncIterator[str]:
    spec = rabbitmq_server.prepare(home)
    with (spec.folder / "out").open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            *spec.argv, env=dict(spec.env), stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip
    try:
        await rabbitmq_server.wait_ready(spec, timeout_s=START_S)
        yield spec.amqp_url
    finally:
        await rabbitmq_server.stop(spec)
        await process.wait()


async def test_what_was_committed_while_the_broker_was_away_leaves_when_it_is_back(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        async with broker_of(tmp_path) as url:
            async with wire_to(url) as wire:
                await wire.publish({"finding_id": "waits in its queue"}, key=SubmitGoal.key())
            scratch = await stack.enter_async_context(scratch_on(url, tmp_path))
            client = await stack.enter_async_context(Client.connect(url))
            assert await client.ask(Forget(finding_id="first"), Done) == Done(count=1)

        link = scratch.service.link
        link.publish_timeout_s = 0.5
        with pytest.raises(Retryable, match="did not confirm"):
            await link.publish(Stamp("c", "c").outgoing(Forget(finding_id="x"), message_id="x"))
        async with scratch.service.database.unit() as unit:
            await scratch.on_forget(Forget(finding_id="meanwhile"), unit)
        ask = asyncio.create_task(client.ask(Forget(finding_id="asked"), Done, deadline_s=2 * START_S))
        assert await scratch.done() == ["first", "meanwhile"]

        async with broker_of(tmp_path) as again:
            assert again == url
            assert await asyncio.wait_for(ask, START_S) == Done(count=1)
            async with wire_to(url, purge=False) as wire, wire.listen("planner.v1") as said:
                # by id: what the broker took, and went away before it confirmed, comes a second time
                bodies = [text_of(message) for message in await distinct(said, 4, timeout_s=START_S)]
                names = [str(body.get("instance") or body.get("finding_id")) for body in bodies]
                assert names[0] == "waits in its queue", "what was confirmed is still there"
                assert sorted(names[1:]) == ["asked", "first", "meanwhile"]
                await wire.publish({"finding_id": "after"}, key=KEY, message_id="after")
                while (said_last := text_of(await asyncio.wait_for(said.get(), START_S))["instance"]) != "after":
                    assert said_last in names, "at worst a known one again"
            await stack.aclose()
