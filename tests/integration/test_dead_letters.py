"""Dead letters put back, corrected and dropped, on a real database; the last ones on a real broker, too."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from services.planner.app import build
from services.planner.handlers import Handlers
from services.planner.parking import Parking
from services.planner.settings import Settings
from services.planner.workbench import Workbench
from shared.contracts.dead_letters import (
    DeadLetterSent,
    DeadLettersListed,
    DropDeadLetters,
    EditDeadLetter,
    ListDeadLetters,
    RetryDeadLetters,
)
from shared.contracts.goals import GoalEnded, GoalsListed, ListGoals
from shared.contracts.message import Done, Message
from shared.errors import NotAllowed, NotDecodable, Rejected, RequestFailed
from shared.messaging.envelope import ATTEMPT, ORIGIN_QUEUE, REASON, SENDER, TRACE, Envelope, Outgoing
from shared.messaging.ids import goal_id_for
from shared.runtime.client import Client
from tests.integration.planning import Planner
from tests.integration.scratch import running
from tests.integration.wire import DEADLINE_S, Wire, wire_to

FAILED = {REASON: "5 attempts failed", ORIGIN_QUEUE: "researcher.v1", ATTEMPT: 5, TRACE: "File x", SENDER: "planner"}
STEP = b'{"goal_id": "g", "step": "s1", "agent": "researcher", "goal": "G?", "question": "Q?", "fence": 1}'
GOAL = b'{"goal": "What is a lease?"}'


@dataclass
class Bench:
    planner: Planner
    parking: Parking
    workbench: Workbench

    async def park(self, body: bytes, **envelope: Any) -> str:
        came = {"message_id": "m-original", "queue": "dead-letters.v1", "user_id": "researcher", **envelope}
        await self.parking.on_dead_letter(Envelope(**came), body)
        await self.planner.database.relay.drain(DEADLINE_S)
        listed = await self.parking.on_list(ListDeadLetters(limit=1), Envelope())
        return listed.dead_letters[0].id

    async def step(self, **headers: Any) -> str:
        return await self.park(STEP, type="run_step.v1", exchange="warren.dead", headers={**FAILED, **headers})

    async def refused_goal(self, body: bytes = b'{"gaol": "x"}', **envelope: Any) -> str:
        headers = {REASON: "goal: Field required", ORIGIN_QUEUE: "planner.v1", ATTEMPT: 1, SENDER: "client"}
        more = {"type": "submit_goal.v1", "exchange": "warren.dead", "user_id": "planner", "headers": headers}
        return await self.park(body, **{**more, **envelope})

    async def unrouted(self, key: str, body: bytes = GOAL, **envelope: Any) -> str:
        return await self.park(
            body, routing_key=key, **{"exchange": "warren.commands", "user_id": "client", **envelope}
        )

    async def do(self, message: Message) -> Any:
        """The reply. Raises what the handler raised."""
        name = {RetryDeadLetters: "on_retry", EditDeadLetter: "on_edit", DropDeadLetters: "on_drop"}[type(message)]
        before = len(self.planner.said)
        await self.planner.hear(message, getattr(self.workbench, name), reply_to="client.me", correlation_id="c")
        reply = next(out for out in self.planner.said[before:] if out.routing_key == "client.me")
        return {"done.v1": Done, "dead_letter_sent.v1": DeadLetterSent}[reply.type].model_validate_json(reply.body)

    def sent(self) -> list[Outgoing]:
        """What left besides events and replies."""
        return [out for out in self.planner.said if out.exchange != "warren.events" and out.routing_key != "client.me"]

    async def left(self) -> int:
        return len((await self.parking.on_list(ListDeadLetters(), Envelope())).dead_letters)


@pytest.fixture
def bench(planner: Planner) -> Bench:
    return Bench(planner, Parking(planner.database, planner.handlers, lambda: planner.clock[0]), Workbench())


async def test_a_retried_letter_goes_back_as_if_it_had_never_failed(bench: Bench) -> None:
    letter = await bench.step(goal_id="g", mine=7)
    assert (await bench.do(RetryDeadLetters(ids=(letter,)))).count == 1
    (out,) = bench.sent()
    assert (out.exchange, out.routing_key, out.message_id) == ("", "researcher.v1", "m-original")
    assert (out.type, out.body) == ("run_step.v1", STEP)
    assert out.headers == {"goal_id": "g", "mine": 7, SENDER: "planner", "retried": 1}
    assert await bench.left() == 0


async def test_it_is_put_back_exactly_once(bench: Bench) -> None:
    letter = await bench.step()
    retry, hear = RetryDeadLetters(ids=(letter, letter)), bench.planner.hear
    await asyncio.gather(*(hear(retry, bench.workbench.on_retry, reply_to="client.me") for _ in range(3)))
    assert sorted(reply.count for reply in bench.planner.of(Done)) == [0, 0, 1]
    assert len(bench.sent()) == 1


async def test_a_letter_is_known_by_the_first_eight_characters(bench: Bench) -> None:
    letter = await bench.step()
    assert (await bench.do(RetryDeadLetters(ids=(letter[:7],)))).count == 0
    assert (await bench.do(RetryDeadLetters(ids=(letter[:8],)))).count == 1


async def test_what_fails_again_is_a_dead_letter_again_and_counts_its_retries(bench: Bench) -> None:
    await bench.do(RetryDeadLetters(ids=(await bench.step(),)))
    await bench.do(RetryDeadLetters(ids=(await bench.step(retried=1),)))
    assert [out.headers["retried"] for out in bench.sent()] == [1, 2]


async def test_what_reached_no_queue_goes_by_its_routing_key_and_its_own_word_for_nothing(bench: Bench) -> None:
    forged = {SENDER: "planner", ORIGIN_QUEUE: "researcher.v1", REASON: "forged", "x-death": [{"queue": "writer.v1"}]}
    letter = await bench.unrouted("cmd.planner.submit_goal.v9", headers=forged, reply_to="planner.v1")
    listed = await bench.parking.on_list(ListDeadLetters(), Envelope())
    assert listed.dead_letters[0].reason == "nobody listens on cmd.planner.submit_goal.v9"
    await bench.do(RetryDeadLetters(ids=(letter,)))
    (out,) = bench.sent()
    assert (out.exchange, out.routing_key) == ("warren.commands", "cmd.planner.submit_goal.v9")
    assert out.headers == {SENDER: "client", "retried": 1}
    assert out.reply_to is None


async def test_what_killed_its_worker_goes_back_to_the_queue_itself(bench: Bench) -> None:
    death = {"x-death": [{"queue": "researcher.v1.suspect", "reason": "delivery_limit"}], SENDER: "planner"}
    letter = await bench.park(STEP, type="run_step.v1", exchange="warren.dead", headers=death)
    await bench.do(RetryDeadLetters(ids=(letter,)))
    assert [out.routing_key for out in bench.sent()] == ["researcher.v1"]
    assert bench.sent()[0].headers == {SENDER: "planner", "retried": 1}


async def test_whoever_asked_for_what_killed_its_worker_is_told_that_it_failed(bench: Bench) -> None:
    death = {"x-death": [{"queue": "planner.v1.suspect", "reason": "delivery_limit"}], SENDER: "client"}
    came = {"exchange": "warren.dead", "user_id": "planner", "correlation_id": "c7", "headers": death}
    for kind, reply_to in (("submit_goal.v1", "client.asker"), ("list_goals.v1", "client.lister")):
        await bench.park(GOAL, type=kind, reply_to=reply_to, message_id=f"m-{kind}", **came)
    await bench.park(GOAL, type="submit_goal.v1", reply_to="planner.v1", message_id="m-forged", **came)
    told = {out.routing_key: (out.type, json.loads(out.body)) for out in bench.sent()}
    assert set(told) == {"client.asker", "client.lister"}, "a client's message gets nothing sent to a queue of ours"
    kind, ended = told["client.asker"]
    assert (kind, ended["status"]) == ("goal_ended.v1", "failed")
    assert ended["goal_id"] == goal_id_for("client", "m-submit_goal.v1")
    assert "its consumer died with it" in ended["reason"]
    assert (told["client.lister"][0], told["client.lister"][1]["error"]) == ("refused.v1", "failed")


async def test_an_edited_goal_is_a_new_message_of_the_same_sender(bench: Bench) -> None:
    letter = await bench.refused_goal(reply_to="client.asker", correlation_id="c7")
    sent = await bench.do(EditDeadLetter(id=letter, body=GOAL.decode()))
    (out,) = bench.sent()
    assert (out.routing_key, out.body, out.message_id) == ("planner.v1", GOAL, sent.message_id)
    assert sent.message_id != "m-original"
    assert sent.goal_id == goal_id_for("client", sent.message_id)
    assert (out.reply_to, out.correlation_id, out.headers[SENDER]) == ("client.asker", "c7", "client")
    assert await bench.left() == 0


async def test_a_body_that_is_no_good_names_the_field_and_leaves_the_letter(bench: Bench) -> None:
    letter = await bench.refused_goal()
    with pytest.raises(NotDecodable, match="goal: String should have at least 1"):
        await bench.do(EditDeadLetter(id=letter, body='{"goal": ""}'))
    assert (bench.sent(), await bench.left()) == ([], 1)


async def test_a_wrong_type_or_key_is_mended_by_naming_the_type(bench: Bench) -> None:
    letter = await bench.unrouted("cmd.planer.submit_goal.v9", type="submit_goal.v9")
    await bench.do(EditDeadLetter(id=letter, body=GOAL.decode(), type="submit_goal.v1"))
    assert [(o.exchange, o.routing_key) for o in bench.sent()] == [("warren.commands", "cmd.planner.submit_goal.v1")]


async def test_editing_gives_a_client_no_more_rights_than_it_has(bench: Bench) -> None:
    letter = await bench.unrouted("cmd.planner.submit_goal.v9", type="run_step.v1")
    for kind in (None, "run_step.v1"):
        with pytest.raises(NotAllowed, match=r"may not publish cmd\.researcher\.run_step"):
            await bench.do(EditDeadLetter(id=letter, body=STEP.decode(), type=kind))
    finished = {"goal_id": "g", "run": 1, "step": "s", "fence": 1, "worker": "w"}
    body = json.dumps({**finished, "result": {"step": "s", "question": "q"}})
    with pytest.raises(NotAllowed, match="is no command"):
        await bench.do(EditDeadLetter(id=letter, body=body, type="step_finished.v1"))
    assert await bench.left() == 1


async def test_dropped_is_gone(bench: Bench) -> None:
    letter = await bench.step()
    assert (await bench.do(DropDeadLetters(ids=(letter, "no-such-letter")))).count == 1
    assert (await bench.do(DropDeadLetters(ids=(letter,)))).count == 0
    assert (bench.sent(), await bench.left()) == ([], 0)
    with pytest.raises(Rejected, match="no dead letter"):
        await bench.do(EditDeadLetter(id=letter, body=GOAL.decode()))


@pytest.fixture
async def wire(amqp_url: str) -> AsyncIterator[Wire]:
    async with wire_to(amqp_url) as wire:
        yield wire


@pytest.fixture
async def client(amqp_url: str, wire: Wire, tmp_path: Path) -> AsyncIterator[Client]:
    service = build(Settings(home=tmp_path, amqp_url=amqp_url, instance="planner-1"))
    async with running(service), Client.connect(amqp_url, timeout_s=DEADLINE_S) as client:
        yield client


async def parked(client: Client, reason: str) -> str:
    """The id of the one dead letter, once there is one that says this."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            listed = (await client.ask(ListDeadLetters(), DeadLettersListed, deadline_s=DEADLINE_S)).dead_letters
            if listed and reason in listed[0].reason:
                return listed[0].id


async def goals_of(client: Client, count: int) -> dict[str, str]:
    async with asyncio.timeout(DEADLINE_S):
        while len(goals := (await client.ask(ListGoals(), GoalsListed, deadline_s=DEADLINE_S)).goals) < count:
            pass
    return {goal.goal_id: goal.goal for goal in goals}


async def test_a_refused_goal_is_edited_and_accepted(wire: Wire, client: Client) -> None:
    await wire.publish(b'{"gaol": "What is a lease?"}', key="cmd.planner.submit_goal.v1")
    letter = await parked(client, "goal: Field required")
    with pytest.raises(RequestFailed, match="corpus"):
        await client.ask(EditDeadLetter(id=letter, body='{"goal": "g", "corpus": 7}'), DeadLetterSent)
    sent = await client.ask(EditDeadLetter(id=letter, body=GOAL.decode()), DeadLetterSent)
    assert await goals_of(client, 1) == {sent.goal_id: "What is a lease?"}
    left = (await client.ask(ListDeadLetters(), DeadLettersListed)).dead_letters
    assert left == (), "neither the letter nor the refused request to edit it is left"


async def test_a_goal_that_reached_nobody_is_retried_once_its_key_is_taken(wire: Wire, client: Client) -> None:
    queue = await wire.channel.get_queue("planner.v1", ensure=False)
    await queue.unbind("warren.commands", "cmd.planner.submit_goal.v1")
    try:
        message_id = await wire.publish(GOAL, key="cmd.planner.submit_goal.v1", headers={"sender": "planner"})
        letter = await parked(client, "nobody listens on cmd.planner.submit_goal.v1")
    finally:
        await queue.bind("warren.commands", "cmd.planner.submit_goal.v1")
    counts = [(await client.ask(RetryDeadLetters(ids=(letter,)), Done)).count for _ in range(2)]
    assert counts == [1, 0]
    assert await goals_of(client, 1) == {goal_id_for("", message_id): "What is a lease?"}


async def test_a_goal_that_failed_at_each_attempt_is_answered_and_can_be_put_back(
    wire: Wire, amqp_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(*_: Any) -> None:
        raise RuntimeError("the planner broke")

    with monkeypatch.context() as patch:
        patch.setattr(Handlers, "on_submit_goal", breaks)
        broken = build(Settings(home=tmp_path, amqp_url=amqp_url, instance="planner-1"))
    asked = {"message_id": "m1", "reply_to": wire.reply_to, "correlation_id": "mine", "headers": {ATTEMPT: 5}}
    async with running(broken), Client.connect(amqp_url, timeout_s=DEADLINE_S) as client:
        await wire.publish(GOAL, key="cmd.planner.submit_goal.v1", **asked)
        answer = await wire.reply()
        letter = await parked(client, "5 attempts failed, the last with RuntimeError: the planner broke")
    ended = GoalEnded.model_validate_json(answer.body)
    assert (answer.type, answer.correlation_id, ended.status) == ("goal_ended.v1", "mine", "failed")
    assert "the planner broke" in (ended.reason or "")
    mended = build(Settings(home=tmp_path, amqp_url=amqp_url, instance="planner-1"))
    async with running(mended), Client.connect(amqp_url, timeout_s=DEADLINE_S) as client:
        assert (await client.ask(RetryDeadLetters(ids=(letter,)), Done)).count == 1
        assert await goals_of(client, 1) == {ended.goal_id: "What is a lease?"}


async def test_what_is_refused_again_is_parked_again(wire: Wire, client: Client) -> None:
    message_id = await wire.publish(b"not JSON", key="cmd.planner.submit_goal.v1")
    letter = await parked(client, "Invalid JSON")
    assert (await client.ask(RetryDeadLetters(ids=(letter,)), Done)).count == 1
    assert await parked(client, "Invalid JSON") == letter, message_id
