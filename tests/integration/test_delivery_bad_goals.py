"""Bad input on the goal queue of the real planner: each kind ends as a dead letter that names what is wrong."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
from shared.contracts.goals import GoalsListed, ListGoals
from shared.errors import RequestFailed
from shared.runtime.client import Client
from tests.integration.scratch import running
from tests.integration.wire import DEADLINE_S, Wire, text_of, wire_to

KEY = "cmd.planner.submit_goal.v1"
GOOD = {"goal": "What is a lease?"}


@dataclass(frozen=True)
class Bad:
    """`reason`: what the dead letter must say. `answered`: a reply goes to whoever named a queue of his own."""

    name: str
    body: bytes
    reason: str
    key: str = KEY
    answered: bool = True
    properties: dict[str, Any] = field(default_factory=dict)


def goal(**fields: Any) -> bytes:
    return json.dumps({**GOOD, **fields}).encode()


KINDS = [
    Bad("not JSON", b"please find out what a lease is", "body: Invalid JSON"),
    Bad("cut short", b'{"goal": "What is', "body: Invalid JSON"),
    Bad("empty", b"", "body: Invalid JSON"),
    Bad("a list", b'["goal"]', "body: Input should be an object"),
    Bad("no goal", b"{}", "goal: Field required"),
    Bad("an empty goal", goal(goal=""), "goal: String should have at least 1 character"),
    Bad("wrong type", goal(goal=["a"]), "goal: Input should be a valid string"),
    Bad("wrong type inside", goal(steps=[{"id": "a", "question": 7}]), "steps.0.question: Input should be a valid"),
    Bad("2 MiB", goal(goal="x" * 2 * 1024 * 1024), "more than 1,048,576"),
    Bad("nested 100,000 deep", b'{"goal": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "body: Invalid JSON"),
    Bad("an unknown version", goal(), "nobody listens on cmd.planner.submit_goal.v9",
        key="cmd.planner.submit_goal.v9"),
    Bad("an unknown version by type", goal(), "type: unknown message type or version 'submit_goal.v9'",
        properties={"type": "submit_goal.v9"}),
    Bad("another service's message", b"{}", "type: forget.v1 is not for queue planner.v1",
        properties={"type": "forget.v1"}),
    Bad("an unknown field", goal(corpsu="papers"), "corpsu: Extra inputs are not permitted"),
    Bad("a wrong routing key", goal(), "nobody listens on cmd.planer.submit_goal.v1",
        key="cmd.planer.submit_goal.v1"),
    Bad("replies to a service's queue", goal(), "reply_to: replies cannot go to 'memory.v1'",
        answered=False, properties={"reply_to": "memory.v1"}),
    Bad("replies to a service's queue, by field", goal(reply_to="planner.v1"), "reply_to: replies cannot go to"),
    Bad("invalid UTF-8", b'{"goal": "\xff\xfe"}', "body: Invalid JSON"),
    Bad("half a character", b'{"goal": "\\ud83d"}', "body: Invalid JSON"),
    Bad("a huge number", b'{"goal": "g", "priority": ' + b"9" * 5000 + b"}", "number out of range"),
    Bad("infinity", b'{"goal": "g", "deadline_s": 1e999}', "deadline_s: "),
    Bad("NaN", b'{"goal": "g", "deadline_s": NaN}', "deadline_s: "),
    Bad("a priority out of range", goal(priority=10), "priority: Input should be less than or equal to 9"),
    Bad("too many steps", goal(steps=[{"id": f"s{n}", "question": "q"} for n in range(13)]), "steps: "),
    Bad("steps in a circle", goal(steps=[{"id": "a", "question": "q", "depends_on": ["a"]}]), "steps: depends_on"),
    Bad("a file's name as a corpus", goal(corpus="/etc/passwd"), "corpus"),
]  # fmt: skip


@contextlib.asynccontextmanager
async def planner_on(url: str, home: Path) -> AsyncIterator[None]:
    async with running(build(Settings(home=home, amqp_url=url, instance="planner-1"))):
        yield


@pytest.fixture
async def wire(amqp_url: str) -> AsyncIterator[Wire]:
    async with wire_to(amqp_url) as wire:
        yield wire


@pytest.fixture
async def client(amqp_url: str, wire: Wire, tmp_path: Path) -> AsyncIterator[Client]:
    async with planner_on(amqp_url, tmp_path), Client.connect(amqp_url, timeout_s=DEADLINE_S) as client:
        yield client


async def letters(client: Client, count: int) -> list[DeadLetter]:
    """Asks until this many are listed: parking them is nobody's reply."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            listed = await client.ask(ListDeadLetters(limit=1000), DeadLettersListed, deadline_s=DEADLINE_S)
            if len(listed.dead_letters) >= count:
                return list(listed.dead_letters)


async def publish(wire: Wire, bad: Bad) -> str:
    properties = {"reply_to": wire.reply_to, "correlation_id": bad.name, **bad.properties}
    return await wire.publish(bad.body, key=bad.key, **properties)


async def test_each_kind_is_listed_with_its_reason_and_answered(wire: Wire, client: Client) -> None:
    for bad in KINDS:
        await publish(wire, bad)
    found = await letters(client, len(KINDS))
    assert len(found) == len(KINDS)
    wrong = [bad.name for bad in KINDS if not any(bad.reason in letter.reason for letter in found)]
    assert not wrong, [letter.reason for letter in found]
    assert all(letter.attempts == 1 for letter in found)
    answers = {}
    for _ in range(sum(bad.answered for bad in KINDS)):
        message = await wire.reply()
        answers[message.correlation_id] = (message.type, text_of(message))
    for bad in (bad for bad in KINDS if bad.answered):
        kind, answer = answers[bad.name]
        if "type" in bad.properties:  # it does not say that it is a goal
            assert kind in ("refused.v1", "goal_ended.v1"), bad.name
        else:
            assert (kind, answer["status"], answer["goal_id"]) == ("goal_ended.v1", "refused", None), bad.name
        assert bad.reason in answer["reason"], bad.name
    assert wire.replies.empty()


async def test_a_good_goal_after_them_is_accepted(wire: Wire, client: Client) -> None:
    for bad in KINDS:
        await publish(wire, bad)
    message_id = await wire.publish(GOOD, key=KEY)
    await letters(client, len(KINDS))
    async with asyncio.timeout(DEADLINE_S):
        while not (goals := (await client.ask(ListGoals(), GoalsListed)).goals):
            pass
    assert [(g.goal, g.status) for g in goals] == [(GOOD["goal"], "planning")]
    assert goals[0].goal_id, message_id


async def test_a_dead_letter_shows_what_was_sent(wire: Wire, client: Client) -> None:
    await wire.publish(b'{"gaol": "What is a lease?"}', key=KEY, headers={"goal_id": "g", "mine": 7})
    (letter,) = await letters(client, 1)
    shown = await client.ask(ShowDeadLetter(id=letter.id), DeadLetterShown)
    assert shown.body == '{"gaol": "What is a lease?"}'
    assert (shown.type, shown.headers["mine"], shown.dead_letter.goal_id) == ("submit_goal.v1", 7, "g")
    assert shown.dead_letter.queue == "planner.v1"


async def test_bytes_that_are_no_text_are_shown_as_well_as_they_can(wire: Wire, client: Client) -> None:
    await wire.publish(b"\xff\x00abc", key=KEY)
    (letter,) = await letters(client, 1)
    assert (await client.ask(ShowDeadLetter(id=letter.id), DeadLetterShown)).body == "�\0abc"


async def test_a_large_dead_letter_is_shown_in_part(wire: Wire, client: Client) -> None:
    await wire.publish(b"x" * 2 * 1024 * 1024, key=KEY)
    (letter,) = await letters(client, 1)
    assert (await client.ask(ShowDeadLetter(id=letter.id), DeadLetterShown)).body == "x" * 64 * 1024


async def test_a_dead_letter_that_is_not_there_is_refused_by_name(client: Client) -> None:
    with pytest.raises(RequestFailed, match="no dead letter nothing") as refusal:
        await client.ask(ShowDeadLetter(id="nothing"), DeadLetterShown)
    assert (refusal.value.field, refusal.value.kind) == ("id", "rejected")


async def test_the_same_dead_letter_twice_is_listed_once(wire: Wire, client: Client) -> None:
    for _ in range(2):
        await wire.publish(b"not JSON", key=KEY, message_id="m1")
    await wire.publish(b"not JSON", key=KEY, message_id="m2")
    await wire.publish(b"not JSON either", key=KEY)
    assert len(await letters(client, 3)) == 3


async def test_dead_letters_without_an_id_are_all_kept(wire: Wire, client: Client) -> None:
    for _ in range(3):
        await wire.publish(b"not JSON", key="cmd.nobody.x.v1", message_id=None)
    assert len(await letters(client, 3)) == 3
