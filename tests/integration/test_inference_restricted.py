"""A restricted call while its local hosts are away: quoted or failed with its reason, and no other host is asked. Calls
are counted at the hosts; the gateway has the model, is idle, and answers everybody else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import select

from services.inference.away import Away
from services.inference.engines import Engines
from services.inference.ollama_client import OllamaHost
from services.inference.scripted import Script
from services.inference.tables import generations
from shared.contracts.generation import Embed, Generated
from shared.contracts.message import Refused
from shared.errors import Rejected
from shared.messaging.envelope import Envelope
from shared.runtime.client import Client
from shared.testing.stub_ollama import StubOllama
from tests.integration.inference_replica import fresh, mesh, postgres, url
from tests.integration.test_inference_service import DEADLINE_S, inference
from tests.integration.waiting import wait_until
from tests.unit.inference.requests import generate

__all__ = ["postgres", "url"]
NAMED = "ollama/stub"


def hosts(near: StubOllama, gateway: StubOllama, **more: str) -> Engines:
    """Nobody waits for the near one to be back."""
    at_once = Away(timedelta(0))
    return Engines([OllamaHost(near.url, local=True), OllamaHost(gateway.url)], Script(None), away=at_once, **more)


@asynccontextmanager
async def two(latency_s: float = 0.0) -> AsyncIterator[tuple[StubOllama, StubOllama, AsyncExitStack]]:
    """A local host, a gateway, and what ends the local one."""
    async with StubOllama.listening() as gateway, AsyncExitStack() as local:
        yield await local.enter_async_context(StubOllama.listening(latency_s=latency_s)), gateway, local


async def test_with_its_local_host_down_it_fails_and_no_other_is_asked(url: str) -> None:
    async with two() as (near, gateway, local), mesh(url, engines=hosts(near, gateway)) as one:
        first = await one.postbox.reply(await one.ask(fresh(engine=NAMED, sensitivity="restricted")))
        assert (first.finish, len(near.calls), len(gateway.calls)) == ("stop", 1, 0)
        await local.aclose()
        named = await one.postbox.reply(await one.ask(fresh(engine=NAMED, sensitivity="restricted")))
        asked = await one.postbox.reply(await one.ask(fresh(sensitivity="restricted")))
        others = await one.postbox.reply(await one.ask(fresh(engine=NAMED)))
    assert named.finish == "failed"
    assert near.url in (named.error or "")
    assert (asked.finish, asked.engine) == ("stop", "extractive")
    assert (others.finish, others.engine) == ("stop", NAMED)
    assert len(gateway.calls) == 1


async def test_it_waits_for_a_local_slot_while_the_gateway_is_idle(url: str) -> None:
    async with two(latency_s=0.3) as (near, gateway, _), mesh(url, engines=hosts(near, gateway)) as one:
        asked = [await one.ask(fresh(engine=NAMED, sensitivity="restricted")) for _ in range(3)]
        answers = [await one.postbox.reply(each) for each in asked]
    assert [answer.finish for answer in answers] == ["stop"] * 3
    assert (len(near.calls), len(gateway.calls)) == (3, 0)


async def test_where_there_is_only_a_gateway_it_says_so(url: str) -> None:
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(StubOllama.listening())
        one = await stack.enter_async_context(mesh(url, engines=Engines([OllamaHost(gateway.url)], Script(None))))
        named = await one.postbox.reply(await one.ask(fresh(engine=NAMED, sensitivity="restricted")))
        asked = await one.postbox.reply(await one.ask(fresh(sensitivity="restricted")))
    why = f"{gateway.url} is not local, so nothing restricted is sent to it"
    assert named.finish == "failed"
    assert why in (named.error or "")
    assert asked.engine == "extractive"
    assert why in (asked.engine_reason or "")
    assert gateway.calls == []


async def test_broken_off_in_the_middle_it_is_not_sent_on(url: str) -> None:
    """What is not restricted is, here: with the same hosts."""
    async with two(latency_s=60) as (near, gateway, local), mesh(url, engines=hosts(near, gateway)) as one:
        asked = await one.ask(fresh(engine=NAMED, sensitivity="restricted"))
        await asyncio.to_thread(wait_until, lambda: near.open == 1, deadline_s=20, what="the call is at the host")
        await local.aclose()
        answer = await one.postbox.reply(asked)
    assert (answer.finish, answer.error_kind) == ("failed", "broken")
    assert gateway.calls == []


async def test_it_joins_no_call_that_may_go_elsewhere(url: str) -> None:
    laxer = fresh(engine=NAMED)
    async with mesh(url, run=False) as one:
        await one.ask(laxer)
        with pytest.raises(Rejected, match="under way as internal"):
            await one.ask(laxer.model_copy(update={"sensitivity": "restricted"}))
        async with one.database.read() as connection:
            rows = await one.calls.ledger.waiting(connection)
    assert [row.sensitivity for row in rows] == ["internal"]


async def test_a_call_of_an_older_version_is_what_it_was(url: str) -> None:
    """Its row has no level, its request neither."""
    async with mesh(url, run=False) as one:
        await one.ask(fresh())
        async with one.database.unit() as unit:
            await unit.connection.execute(generations.update().values(sensitivity=None))
        async with one.database.read() as connection:
            rows = await one.calls.ledger.waiting(connection)
            request = (await connection.execute(select(generations.c.request))).scalar_one()
    assert [row.sensitivity for row in rows] == ["internal"]
    assert "sensitivity" not in request


async def test_nor_are_its_texts_embedded_elsewhere(tmp_path: Path) -> None:
    async with StubOllama.listening(can=("embedding",)) as gateway:
        engines = Engines([OllamaHost(gateway.url)], Script(None))
        async with mesh(f"sqlite+aiosqlite:///{tmp_path}/i.db", engines=engines, run=False) as one:
            no = await one.inference.on_embed(Embed(texts=("secret",), sensitivity="restricted"), Envelope())
            assert "/api/embed" not in gateway.paths
            await one.inference.on_embed(Embed(texts=("other",)), Envelope())
    assert isinstance(no, Refused)
    assert (no.error, "no local host" in no.reason) == ("no_embedder", True)
    assert "/api/embed" in gateway.paths


async def test_the_table_is_what_a_service_goes_by(amqp_url: str, tmp_path: Path) -> None:
    """Two stubs on loopback; the table says that one of them passes on."""
    async with StubOllama.listening() as gateway:
        (tmp_path / "routing.toml").write_text(f'remote_hosts = ["{gateway.url.removeprefix("http://")}"]\n')
        settings = {"WARREN_OLLAMA_URLS": gateway.url, "WARREN_ROUTING": str(tmp_path / "routing.toml")}
        with inference(tmp_path, amqp_url, **settings):
            async with Client.connect(amqp_url) as client:
                request = generate(goal_id=str(uuid4()), engine=NAMED, sensitivity="restricted")
                no = await client.ask(request, Generated, deadline_s=DEADLINE_S)
                assert gateway.calls == []
                request = generate(goal_id=str(uuid4()), engine=NAMED)
                yes = await client.ask(request, Generated, deadline_s=DEADLINE_S)
    assert no.finish == "failed"
    assert "is not local" in (no.error or "")
    assert (yes.finish, len(gateway.calls)) == ("stop", 1)
