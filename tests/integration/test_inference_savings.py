"""What was spent and saved, as `warren tokens` asks for it, on SQLite and on PostgreSQL."""

from datetime import datetime
from pathlib import Path
from uuid import uuid4

from sqlalchemy import func, select

from services.inference.savings import costs
from services.inference.tables import savings
from shared.contracts.generation import CallKey
from shared.contracts.tokens import CallCost, ShowTokens
from shared.messaging.envelope import Envelope
from tests.integration.inference_replica import Mesh, calls_of, mesh, postgres, scripted, url
from tests.unit.inference.requests import generate

__all__ = ["postgres", "url"]


async def shown(one: Mesh, goal_id: str) -> tuple[CallCost, ...]:
    return (await one.inference.on_show_tokens(ShowTokens(goal_id=goal_id), Envelope(message_id="m"))).calls


async def test_the_ledger_says_what_was_answered_again_and_who_joined(url: str, tmp_path: Path) -> None:
    goal_id = str(uuid4())
    script = scripted(tmp_path, latency_s=0.4, answers=[{"text": "Queues hold messages [p1]."}])
    request = generate(goal_id=goal_id)
    async with mesh(url, script=script) as one:
        first = await one.ask(request)
        await one.ask(request, first)  # the broker delivered it again: nobody new waits
        others = [await one.ask(request) for _ in range(2)]
        for message_id in (first, *others):
            await one.postbox.reply(message_id)
        for _ in range(3):
            await one.postbox.reply(await one.ask(request))
        (cost,) = await shown(one, goal_id)
        assert await shown(one, str(uuid4())) == ()
    assert calls_of(script) == 1
    assert (cost.state, cost.engine, cost.step, cost.purpose) == ("done", "scripted", "s1", "research")
    assert (cost.joined, cost.asked_again, cost.earlier) == (2, 3, False)
    paid = cost.tokens_in + cost.tokens_out
    assert paid > 0
    assert (cost.spent, cost.saved) == (paid, 5 * paid)


async def test_a_call_of_an_earlier_run_costs_nothing_again(url: str, tmp_path: Path) -> None:
    request = generate(goal_id=str(uuid4()))
    second_run = request.model_copy(update={"call": CallKey(**{**request.call.model_dump(), "run": 2})})
    async with mesh(url, script=scripted(tmp_path)) as one:
        await one.postbox.reply(await one.ask(request))
        await one.postbox.reply(await one.ask(second_run))
        paid, free = await shown(one, request.call.goal_id)
    assert (paid.run, paid.earlier, paid.saved) == (1, False, 0)
    assert (free.run, free.earlier, free.spent, free.saved) == (2, True, 0, paid.spent)
    assert paid.spent > 0


async def test_what_waits_is_listed_and_what_is_left_out_is_counted(url: str) -> None:
    goal_id = str(uuid4())
    async with mesh(url, run=False) as one:
        for ordinal in range(3):
            await one.ask(generate(goal_id=goal_id, ordinal=ordinal))
        async with one.database.read() as connection:
            found, more = await costs(connection, goal_id, limit=2)
    assert ([(c.ordinal, c.state, c.spent) for c in found], more) == ([(1, "waiting", 0), (2, "waiting", 0)], 1)


async def test_savings_are_forgotten_with_their_call(url: str, tmp_path: Path) -> None:
    request = generate(goal_id=str(uuid4()))
    async with mesh(url, script=scripted(tmp_path)) as one:
        for _ in range(2):
            await one.postbox.reply(await one.ask(request))
        async with one.database.unit() as unit:
            count = select(func.count()).select_from(savings)
            assert (await unit.connection.execute(count)).scalar_one() == 1
            later = datetime.fromisoformat("2999-01-01T00:00:00+00:00")
            await one.calls.ledger.purge(unit.connection, later)
            assert (await unit.connection.execute(count)).scalar_one() == 0
        assert await shown(one, request.call.goal_id) == ()
