"""Conversations, on the oldest broker with SQLite and the newest with PostgreSQL: kept, gone on with, interrupted."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from services.inference import app as inference
from services.inference.sessions import Sessions
from services.inference.settings import Settings
from shared.contracts.generation import Generated
from shared.contracts.message import Done
from shared.contracts.sessions import (
    DropSession,
    KeepTurn,
    ListSessions,
    Session,
    SessionShown,
    SessionsListed,
    ShowSession,
    Turn,
    turn_key,
)
from shared.errors import RequestFailed
from shared.runtime.client import Client
from shared.runtime.service import Service
from shared.runtime.sessions import SUMMARISE, Conversation, went_on
from shared.runtime.tokens import Ended
from shared.testing.stub_ollama import StubOllama
from tests.integration.databases import postgres_container
from tests.integration.scratch import running
from tests.integration.wire import wire_to

DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgres_container() as url:
        yield url


@dataclass
class Mesh:
    client: Client
    stub: StubOllama
    service: Service
    url: str

    async def open(self, name: str, **settings: object) -> Conversation:
        return await Conversation.open(self.client, Session(session_id=name, engine="ollama/stub", **settings))  # type: ignore[arg-type]  # test


@pytest.fixture
async def mesh(request: pytest.FixtureRequest, amqp_url: str, tmp_path: Path) -> AsyncIterator[Mesh]:
    where: dict[str, object] = {"home": tmp_path, "amqp_url": amqp_url, "instance": "inference-1"}
    if request.node.callspec.params["amqp_url"] == "container":  # as compose has them
        where["database_url"] = request.getfixturevalue("postgres")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(wire_to(amqp_url))
        stub = await stack.enter_async_context(StubOllama.listening())
        service = inference.build(Settings(**where, ollama_urls=stub.url, model="ollama/stub"))  # type: ignore[arg-type]  # test
        await stack.enter_async_context(running(service))
        client = await stack.enter_async_context(Client.connect(amqp_url, timeout_s=DEADLINE_S))
        yield Mesh(client, stub, service, amqp_url)


async def say(talk: Conversation, question: str) -> Generated:
    async with aclosing(talk.say(question)) as pieces:
        return [piece async for piece in pieces if isinstance(piece, Ended)][-1].result


def name() -> str:
    return f"s-{uuid4().hex[:8]}"


async def test_what_was_said_is_kept_and_sent_again(mesh: Mesh) -> None:
    talk = await mesh.open(called := name(), system="Be brief.")
    first = await say(talk, "What is a lease?")
    again = await mesh.open(called, system="another one, which does not count")
    assert [(t.number, t.question, t.answer) for t in again.turns] == [(1, "What is a lease?", first.text)]
    assert (again.session.system, again.session.title) == ("Be brief.", "What is a lease?")
    await say(again, "And a fence?")
    sent = mesh.stub.bodies[-1]["messages"]
    assert [m["role"] for m in sent] == ["system", "user", "assistant", "user"]
    assert [m["content"] for m in sent][::2] == ["Be brief.", first.text]
    listed = await mesh.client.ask(ListSessions(), SessionsListed)
    assert (listed.sessions[0].session_id, listed.sessions[0].turns) == (called, 2)


async def test_whoever_is_interrupted_before_the_turn_is_kept_pays_nothing_again(mesh: Mesh) -> None:
    talk = await mesh.open(called := name())
    request = talk._request(1, "Why?", (await _messages(talk, "Why?")))
    paid = await mesh.client.ask(request, Generated, deadline_s=DEADLINE_S)  # and then the client died
    before = len(mesh.stub.calls)
    again = await mesh.open(called)
    assert again.turns == []
    assert (await say(again, "Why?")).text == paid.text
    assert len(mesh.stub.calls) == before


async def _messages(talk: Conversation, question: str):  # type: ignore[no-untyped-def]  # what `say` sends
    from shared.runtime.sessions import fitted

    return fitted(talk.session, talk.turns, question).messages


async def test_a_session_that_became_restricted_stays_so(mesh: Mesh) -> None:
    """What was said in it is sent along with each question."""
    talk = await mesh.open(called := name())
    assert (await say(talk, "Why?")).finish == "stop"
    strict = await mesh.open(called, sensitivity="restricted")
    again = await mesh.open(called)
    assert (strict.session.sensitivity, again.session.sensitivity) == ("restricted", "restricted")
    assert (again.session.turns, len(again.turns)) == (1, 1)
    mesh.stub.paths.clear()
    assert (await say(again, "And how?")).finish == "stop", "its host is local"
    assert "/api/show" in mesh.stub.paths, "as a restricted call it asks whether the model runs there"


async def test_of_two_who_go_on_at_once_one_is_told(mesh: Mesh) -> None:
    one, other = await mesh.open(called := name()), await mesh.open(called)
    await say(one, "What is a lease?")
    with pytest.raises(RequestFailed) as refused:
        await say(other, "What is a fence?")
    assert went_on(refused.value)
    await other.reload()
    await say(other, "What is a fence?")
    assert [t.question for t in other.turns] == ["What is a lease?", "What is a fence?"]
    await one.reload()
    assert one.turns == other.turns


async def test_a_turn_is_kept_once_and_in_order(mesh: Mesh) -> None:
    talk = await mesh.open(called := name())
    turn = Turn(number=1, question="Why?", answer="So.", at=datetime.now(UTC))
    assert (await mesh.client.ask(KeepTurn(session_id=called, turn=turn), Done)).count == 1
    assert (await mesh.client.ask(KeepTurn(session_id=called, turn=turn), Done)).count == 0
    for wrong, kind in (
        (turn.model_copy(update={"question": "How?"}), "taken"),
        (turn.model_copy(update={"number": 3}), "not_next"),
    ):
        with pytest.raises(RequestFailed) as refused:
            await mesh.client.ask(KeepTurn(session_id=called, turn=wrong), Done)
        assert refused.value.kind == kind
    await talk.reload()
    assert talk.turns == [turn]


async def test_a_long_one_is_summarised_once_and_goes_on_from_there(mesh: Mesh) -> None:
    talk = await mesh.open(called := name(), strategy="summarise", context=1024, max_tokens=64)
    for number in range(1, 9):
        answer = "a" * 600
        turn = Turn(number=number, question=f"question {number}", answer=answer, at=datetime.now(UTC))
        await mesh.client.ask(KeepTurn(session_id=called, turn=turn), Done)
    await talk.reload()
    await say(talk, "And now?")
    summaries = [c for c in mesh.stub.bodies if c["messages"][0]["content"] == SUMMARISE]
    assert len(summaries) == 1
    assert "question 1" in summaries[0]["messages"][1]["content"]
    sent = mesh.stub.bodies[-1]["messages"]
    assert "summarised" in sent[0]["content"]
    again = await mesh.open(called)
    assert again.session.summary is not None
    assert (again.session.summary.upto, len(again.turns)) == (again.session.summary.upto, 9)
    assert not any("question 1" in m["content"] for m in sent)


async def test_long_histories_come_in_parts(mesh: Mesh) -> None:
    talk = await mesh.open(called := name())
    for number in range(1, 9):
        turn = Turn(number=number, question="q" * 1000, answer="é" * 49_000, at=datetime.now(UTC))
        await mesh.client.ask(KeepTurn(session_id=called, turn=turn), Done)
    part = await mesh.client.ask(ShowSession(session_id=called), SessionShown)
    assert 0 < len(part.turns) < 8
    assert part.more == 8 - len(part.turns)
    await talk.reload()
    assert [turn.number for turn in talk.turns] == list(range(1, 9))


async def test_one_is_dropped_and_old_ones_are_forgotten(mesh: Mesh) -> None:
    talk = await mesh.open(called := name())
    await say(talk, "Why?")
    sessions = Sessions(mesh.service.database, lambda: datetime.now(UTC) + timedelta(days=10))
    async with mesh.service.database.unit() as unit:
        assert await sessions.purge(unit.connection, timedelta(days=11)) == 0
    assert (await mesh.client.ask(DropSession(session_id=called), Done)).count == 1
    assert (await mesh.client.ask(DropSession(session_id=called), Done)).count == 0
    with pytest.raises(RequestFailed, match="no session"):
        await talk.reload()
    old = await mesh.open(name())
    async with mesh.service.database.unit() as unit:
        assert await sessions.purge(unit.connection, timedelta(days=9)) >= 1
    with pytest.raises(RequestFailed, match="no session"):
        await old.reload()


async def test_on_the_command_line(mesh: Mesh, tmp_path: Path) -> None:
    async def warren(*arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "services.cli", *arguments, "--url", mesh.url]
        own = {"WARREN_HOME": str(tmp_path), "PATH": os.environ["PATH"]}
        return await asyncio.to_thread(
            subprocess.run, command, input=stdin, env=own, capture_output=True, text=True, timeout=DEADLINE_S
        )

    called = name()
    talked = await warren("chat", "--session", called, "--engine", "ollama/stub", stdin="Why?\n\nHow?\n")
    assert talked.returncode == 0, talked.stderr
    assert len(talked.stdout.splitlines()) >= 2
    shown = await warren("sessions", "show", called)
    assert "> Why?" in shown.stdout
    assert "> How?" in shown.stdout
    file = tmp_path / "saved.json"
    assert (await warren("sessions", "save", called, str(file))).returncode == 0
    assert (await warren("sessions", "save", called, str(file))).returncode == 1, "never over a file that is there"
    copied = await warren("sessions", "load", str(file), "--session", f"{called}-2")
    assert copied.returncode == 0, copied.stderr
    assert (await warren("sessions", "show", f"{called}-2")).stdout == shown.stdout
    file.write_text("{}")
    assert (await warren("sessions", "load", str(file))).returncode == 2
    assert (await warren("chat", "hello", "--strategy", "sometimes")).returncode == 2
    assert (await warren("sessions", "rm", called)).returncode == 0
    assert (await warren("sessions", "show", called)).returncode == 1
    before = len(mesh.stub.calls)
    key = turn_key(f"{called}-2", 1, "Why?")
    assert key.goal_id.endswith("-2")
    assert before == 2
