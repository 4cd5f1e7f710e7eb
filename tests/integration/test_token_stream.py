"""An answer while it is written, by a real broker: connections cut and inference killed in the middle, looked on at,
answered from the ledger, run by another replica."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from shared.contracts.generation import CallKey, Generate, Generated
from shared.contracts.message import Done, Event
from shared.contracts.stream import ReadTokens, TokensRead, TokensWritten, WatchTokens
from shared.runtime.client import Client
from shared.runtime.goal_tokens import Over, goal_tokens
from shared.runtime.tokens import Ended, Restarted, Text, TokenPiece
from shared.testing.fault_proxy import FaultProxy
from shared.testing.stub_ollama import StubOllama
from tests.integration.databases import postgres_container
from tests.integration.test_inference_service import DEADLINE_S, inference
from tests.unit.inference.requests import generate

WORDS = [f"Wörd {n}. " for n in range(40)]
ANSWER = "".join(WORDS)
SLOW_S, FAST_S = 0.4, 0.02
"""Between two words: slow enough that each comes alone and forty take longer than any machine needs; and the rest."""


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgres_container() as url:
        yield url


@asynccontextmanager
async def stub() -> AsyncIterator[StubOllama]:
    """Says forty words, slowly until somebody makes it fast."""
    async with StubOllama.listening(words=WORDS, token_s=SLOW_S) as host:
        yield host


@dataclass
class Until:
    """The model speaks slowly until so many have come by."""

    host: StubOllama
    awaited: int

    def come(self, *_: object) -> None:
        self.awaited -= 1
        if self.awaited == 0:
            self.host.token_s = FAST_S


def settings(host: StubOllama) -> dict[str, str]:
    return {"WARREN_OLLAMA_URLS": host.url, "WARREN_MODEL": f"ollama/{host.model}"}


@asynccontextmanager
async def serving(*arguments: Any, **settings: str) -> AsyncIterator["subprocess.Popen[bytes]"]:
    """Its line to the broker may be a proxy in this loop, which therefore goes on while it starts."""
    service = inference(*arguments, **settings)
    process = await asyncio.to_thread(service.__enter__)
    try:
        yield process
    finally:
        await asyncio.to_thread(service.__exit__, None, None, None)


def request() -> Generate:
    return generate(goal_id=str(uuid4()), purpose="chat")


async def read(
    client: Client, call: Generate | CallKey, at: dict[int, Callable[[], Any]] | None = None
) -> list[TokenPiece]:
    """All pieces. `at`: what is done after so many of them."""
    pieces: list[TokenPiece] = []
    async with asyncio.timeout(DEADLINE_S), aclosing(client.tokens(call, deadline_s=DEADLINE_S)) as stream:
        async for piece in stream:
            pieces.append(piece)
            if at and len(pieces) in at:
                at[len(pieces)]()
    return pieces


def shown(pieces: list[TokenPiece]) -> str:
    text = ""
    for piece in pieces:
        text = "" if isinstance(piece, Restarted) else text + (piece.text if isinstance(piece, Text) else "")
    return text


def result_of(pieces: list[TokenPiece]) -> Generated:
    assert isinstance(pieces[-1], Ended)
    return pieces[-1].result


async def test_cut_connections_leave_no_mark_on_the_text(amqp_url: str, tmp_path: Path) -> None:
    """Of the client, then of the service, then of both, in the middle of a stream."""
    async with (
        stub() as host,
        FaultProxy.to(amqp_url) as line,
        FaultProxy.to(amqp_url) as services_line,
        serving(tmp_path, services_line.url, **settings(host)),
        Client.connect(line.url) as client,
    ):

        def both() -> None:
            line.cut()
            services_line.cut()

        cuts = {2: line.cut, 4: services_line.cut, 6: both, 8: Until(host, 1).come}
        cut = await read(client, request(), cuts)
        uncut = await read(client, request())
    assert shown(uncut) == shown(cut) == result_of(cut).text == ANSWER
    assert not any(isinstance(piece, Restarted) for piece in [*uncut, *cut])
    assert len(host.calls) == 2
    assert min(line.accepted, services_line.accepted) >= 3


async def test_the_death_of_inference_is_told_and_the_text_begins_anew(amqp_url: str, tmp_path: Path) -> None:
    async with stub() as host, Client.connect(amqp_url) as client:
        async with serving(tmp_path, amqp_url, **settings(host)) as first:
            begun = asyncio.Event()

            def kill() -> None:
                first.kill()
                first.wait()
                begun.set()

            # three pieces, the death of the process, `restarted`, two words of the second attempt: then the rest
            reading = asyncio.create_task(read(client, request(), {3: kill, 6: Until(host, 1).come}))
            async with asyncio.timeout(DEADLINE_S):
                await begun.wait()
        async with serving(tmp_path, amqp_url, **settings(host)):
            pieces = await reading
    restarts = [n for n, piece in enumerate(pieces) if isinstance(piece, Restarted)]
    assert [pieces[n] for n in restarts] == [Restarted(attempt=2)]
    assert shown(pieces[: restarts[0]]) in ANSWER
    assert shown(pieces) == result_of(pieces).text == ANSWER
    assert [type(piece) for piece in pieces[2:5]] == [Text, Restarted, Text]
    assert len(host.calls) == 2


async def test_many_may_look_on_and_a_call_that_is_done_comes_at_once(amqp_url: str, tmp_path: Path) -> None:
    asked = request()
    async with (
        stub() as host,
        serving(tmp_path, amqp_url, **settings(host)),
        Client.connect(amqp_url) as client,
        Client.connect(amqp_url) as other,
    ):
        joining: list[asyncio.Task[list[TokenPiece]]] = []
        both = Until(host, 2)

        def look_on() -> None:
            joining.extend(asyncio.create_task(read(other, call, {1: both.come})) for call in (asked, asked.call))

        first = await read(client, asked, {3: look_on})
        joined, looked_on = await asyncio.gather(*joining)
        again = await read(client, asked)
        known = await read(client, asked.call)
    assert shown(first) == shown(joined) == shown(looked_on) == shown(again) == shown(known) == ANSWER
    for onlooker in (joined, looked_on):
        assert [type(piece) for piece in onlooker[:2]] == [Text, Text]
        assert len(shown(onlooker[:1])) > len(WORDS[0])  # what had been written before comes at once
    assert [type(piece) for piece in again] == [type(piece) for piece in known] == [Text, Ended]
    assert (result_of(again).cached, len(host.calls)) == (True, 1)


async def test_what_nobody_wants_is_not_published_and_who_is_slow_misses_nothing(amqp_url: str, tmp_path: Path) -> None:
    one, another = request(), request()
    goal_id = another.call.goal_id
    async with stub() as host, serving(tmp_path, amqp_url, **settings(host)), Client.connect(amqp_url) as client:
        host.token_s = FAST_S
        async with client.watch(one.call.goal_id, TokensWritten) as events:
            await client.ask(one, Generated, deadline_s=DEADLINE_S)
            assert events.empty()
        async with (
            client.watch(goal_id, TokensWritten) as every,
            client.watch(goal_id, TokensWritten, most=2) as newest,
        ):
            await client.ask(WatchTokens(goal_id=goal_id, for_s=60), Done, deadline_s=DEADLINE_S)
            await client.ask(another, Generated, deadline_s=DEADLINE_S)
            published: list[Event] = []
            async with asyncio.timeout(DEADLINE_S):
                while not (published and getattr(published[-1], "ended", False)):
                    published.append(await every.get())
            assert [newest.get_nowait(), newest.get_nowait(), newest.empty()] == [*published[-2:], True]
        slow = await read(client, another.call)
    assert [type(piece) for piece in slow] == [Text, Ended]
    assert shown(slow) == ANSWER


@pytest.mark.docker
async def test_any_replica_can_be_asked(amqp_url: str, tmp_path: Path, postgres: str) -> None:
    """One runs the call; the other, asked, passes the question on, and the answer comes as events."""
    asked = request()
    own = {"WARREN_DATABASE_URL": postgres}
    async with stub() as host, Client.connect(amqp_url) as client:
        (two := tmp_path / "two").mkdir()
        async with (
            serving(tmp_path, amqp_url, **settings(host), **own),
            serving(two, amqp_url, **settings(host), **own, WARREN_INSTANCE="inference-2"),
        ):
            answers: list[TokensRead] = []

            async def ask_both() -> None:
                """Whose turn it is the broker decides: in turn, mostly."""
                began = time.monotonic()
                while len({answer.text == "" for answer in answers}) < 2 and time.monotonic() < began + DEADLINE_S:
                    answers.append(await client.ask(ReadTokens(call=asked.call), TokensRead, deadline_s=DEADLINE_S))
                all_of_them.come()

            others: list[asyncio.Task[Any]] = []
            all_of_them = Until(host, 5)

            def look_on() -> None:
                others.append(asyncio.create_task(ask_both()))
                others.extend(asyncio.create_task(read(client, asked.call, {1: all_of_them.come})) for _ in range(4))

            pieces = await read(client, asked, {3: look_on})
            _, *looked_on = await asyncio.gather(*others)
    assert shown(pieces) == ANSWER
    assert [shown(each) for each in looked_on] == [ANSWER] * 4
    assert {answer.text == "" for answer in answers if answer.state == "running"} == {True, False}
    assert len(host.calls) == 1


async def test_all_calls_of_a_goal_can_be_looked_at_from_the_middle_of_one(amqp_url: str, tmp_path: Path) -> None:
    goal_id = str(uuid4())
    first, second = (generate(goal_id=goal_id, purpose="chat", step=step) for step in ("one", "two"))
    texts = {first.call: "", second.call: ""}
    over: set[CallKey] = set()
    async with (
        stub() as host,
        serving(tmp_path, amqp_url, **settings(host), WARREN_SLOTS="2"),
        Client.connect(amqp_url) as client,
        Client.connect(amqp_url) as onlooker,
    ):
        asked: list[asyncio.Task[Any]] = []

        async def look() -> None:
            asked.append(asyncio.create_task(client.ask(second, Generated, deadline_s=DEADLINE_S)))
            async with asyncio.timeout(DEADLINE_S), aclosing(goal_tokens(onlooker, goal_id)) as pieces:
                async for call, piece in pieces:
                    assert not isinstance(piece, Restarted)
                    texts[call] += piece.text if isinstance(piece, Text) else ""
                    if all(texts.values()):
                        host.token_s = FAST_S
                    over.update([call] if isinstance(piece, Over) else [])
                    if len(over) == 2:
                        return

        looking: list[asyncio.Task[None]] = []
        await read(client, first, {3: lambda: looking.append(asyncio.create_task(look()))})
        await asyncio.gather(*looking)
        await asyncio.gather(*asked)
    assert texts == {first.call: ANSWER, second.call: ANSWER}
