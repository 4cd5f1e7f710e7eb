"""The ledger on SQLite and on PostgreSQL: one suite, and the running of calls with it (no broker)."""

import asyncio
from datetime import timedelta
from pathlib import Path

from shared.contracts.generation import Generated
from shared.contracts.steps import StepsStopped
from shared.messaging.envelope import Envelope
from tests.integration.inference_replica import _now, calls_of, fresh, mesh, postgres, scripted, url
from tests.integration.waiting import wait_until
from tests.unit.inference.requests import generate

__all__ = ["postgres", "url"]


async def test_a_call_is_answered_and_the_same_call_again_from_the_ledger(url: str, tmp_path: Path) -> None:
    script = scripted(tmp_path, answers=[{"text": "Queues hold messages [p1]."}])
    request = fresh()
    async with mesh(url, script=script) as one:
        first = await one.postbox.reply(await one.ask(request))
        again = await one.postbox.reply(await one.ask(request))
    assert (first.text, first.finish, first.cached) == ("Queues hold messages [p1].", "stop", False)
    assert first.usage.tokens_out == 4
    assert again == first.model_copy(update={"cached": True})
    assert calls_of(script) == 1


async def test_who_asks_while_it_runs_joins(url: str, tmp_path: Path) -> None:
    script = scripted(tmp_path, latency_s=0.4)
    request = fresh()
    async with mesh(url, script=script) as one:
        asked = [await one.ask(request) for _ in range(5)]
        answers = [await one.postbox.reply(message_id) for message_id in asked]
    assert len({answer.text for answer in answers}) == 1
    assert calls_of(script) == 1


async def test_a_changed_request_for_the_same_call_is_answered_as_the_first_time(url: str, tmp_path: Path) -> None:
    script = scripted(tmp_path)
    request = fresh()
    async with mesh(url, script=script) as one:
        first = await one.postbox.reply(await one.ask(request))
        changed = await one.postbox.reply(await one.ask(request.model_copy(update={"max_tokens": 7})))
    assert (changed.text, changed.cached) == (first.text, True)
    assert calls_of(script) == 1


async def test_a_failed_call_may_be_tried_again(url: str, tmp_path: Path) -> None:
    script = scripted(tmp_path, answers=[{"fault": "busy", "times": 1}, {"text": "Yes [p1]."}])
    request = fresh(engine="scripted")
    async with mesh(url, script=script) as one:
        failed = await one.postbox.reply(await one.ask(request))
        better = await one.postbox.reply(await one.ask(request))
    assert (failed.finish, failed.error) == ("failed", "scripted: busy")
    assert (better.finish, better.text) == ("stop", "Yes [p1].")


async def test_auto_quotes_where_the_model_fails_and_says_so(url: str, tmp_path: Path) -> None:
    script = scripted(tmp_path, answers=[{"fault": "memory"}])
    async with mesh(url, script=script) as one:
        answer = await one.postbox.reply(await one.ask(fresh()))
        plan = await one.postbox.reply(await one.ask(fresh(purpose="plan")))
    assert (answer.engine, answer.finish, answer.engine_reason) == ("extractive", "stop", "no model: scripted: memory")
    assert "[p1]" in answer.text
    assert plan.finish == "unsupported"


async def test_what_a_dead_instance_left_is_run_again(url: str, tmp_path: Path) -> None:
    request = fresh()
    script = scripted(tmp_path)
    async with mesh(url, run=False, name="inference-dead") as dead:
        asked = await dead.ask(request)
        async with dead.database.unit() as unit:
            (row,) = [r for r in await dead.calls.ledger.waiting(unit.connection) if r.engine == "auto"][-1:]
            until = _now() + timedelta(seconds=0.1)
            assert await dead.calls.ledger.claim(unit.connection, row.id, owner="inference-dead", until=until)
    async with mesh(url, script=script) as heir:
        assert (await heir.postbox.reply(asked)).finish == "stop"
    assert calls_of(script) == 1


async def test_a_death_frees_the_calls_of_that_container_but_not_of_its_successor(url: str) -> None:
    owners = ("inference-0ab-6", "inference-0ab-7", "inference-0abc-6")
    until = _now() + timedelta(hours=1)
    async with mesh(url, run=False) as one:
        for n in range(len(owners)):
            await one.ask(fresh(step=f"s{n}"))
        ledger = one.calls.ledger
        async with one.database.unit() as unit:
            ids = [row.id for row in await ledger.waiting(unit.connection)]
            for call, owner in zip(ids, owners, strict=True):
                assert await ledger.claim(unit.connection, call, owner=owner, until=until)
            assert await ledger.release(unit.connection, now=_now(), owner="inference-0ab", spare=owners[1]) == 1
            assert [row.id for row in await ledger.waiting(unit.connection)] == ids[:1]


async def test_late_word_of_a_death_frees_nothing_that_the_successor_of_that_name_has_taken(url: str) -> None:
    """A broker that was away tells of the death when the new process is at work (found by the simulator)."""
    lease, died_at = timedelta(seconds=30), _now()
    async with mesh(url, run=False) as one:
        for n in range(2):
            await one.ask(fresh(step=f"s{n}"))
        ledger = one.calls.ledger
        async with one.database.unit() as unit:
            before, after = [row.id for row in await ledger.waiting(unit.connection)]
            ends = {before: died_at - timedelta(seconds=1) + lease, after: died_at + timedelta(seconds=1) + lease}
            for call, until in ends.items():
                assert await ledger.claim(unit.connection, call, owner="inference-9", until=until)
        one.calls.lease = lease
        await one.calls.release_owner("inference-9", died_at=died_at)
        async with one.database.unit() as unit:
            assert [row.id for row in await ledger.waiting(unit.connection)] == [before]


async def test_a_late_result_is_dropped(url: str) -> None:
    request = fresh()
    async with mesh(url, run=False) as one:
        await one.ask(request)
        ledger = one.calls.ledger
        async with one.database.unit() as unit:
            (row,) = list(await ledger.waiting(unit.connection))[-1:]
            slow = await ledger.claim(unit.connection, row.id, owner="slow", until=_now())
        async with one.database.unit() as unit:
            assert await ledger.release(unit.connection, now=_now() + timedelta(seconds=1)) == 1
            assert await ledger.claim(unit.connection, row.id, owner="quick", until=_now())
            assert slow is not None
            result = Generated(call=request.call, finish="stop", engine="x")
            assert await ledger.finish(unit.connection, slow, result, now=_now()) is None


async def test_an_answer_of_an_earlier_run_is_paid_for_and_one_of_an_earlier_try_is_not_yet_told(
    url: str, tmp_path: Path
) -> None:
    request = fresh()
    again = {name: request.model_copy(update={"call": request.call.model_copy(update=key)})
             for name, key in {"run": {"run": 2}, "try": {"epoch": 1}}.items()}  # fmt: skip
    async with mesh(url, script=scripted(tmp_path)) as one:
        await one.postbox.reply(await one.ask(request))
        tried = await one.postbox.reply(await one.ask(again["try"]))
        rerun = await one.postbox.reply(await one.ask(again["run"]))
        same = await one.postbox.reply(await one.ask(request))
    assert (tried.cached, tried.shared) == (True, False)
    assert (rerun.cached, rerun.shared) == (True, True)
    assert (same.cached, same.shared) == (True, False)


async def test_a_stopped_goal_ends_within_a_second_and_what_is_done_stays(url: str, tmp_path: Path) -> None:
    script = scripted(tmp_path, answers=[{"match": "hang", "fault": "hang"}, {"text": "Yes [p1]."}])
    done = fresh()
    goal = done.call.goal_id
    async with mesh(url, script=script) as one:
        await one.postbox.reply(await one.ask(done))
        hanging = await one.ask(generate("hang", goal_id=goal, step="s2"))
        await asyncio.to_thread(wait_until, lambda: calls_of(script) == 2, deadline_s=20, what="the second call runs")
        (running,) = one.calls.running.values()
        async with asyncio.timeout(1):
            await one.inference.on_steps_stopped(StepsStopped(goal_id=goal, reason="cancelled"), Envelope())
            await asyncio.wait([running.task] if running.task else [])
        assert (await one.postbox.reply(await one.ask(done))).cached
        assert one.postbox.replies(hanging) == []


async def test_a_running_call_shows_life(url: str, tmp_path: Path) -> None:
    script = scripted(tmp_path, answers=[{"text": "word " * 30, "token_s": 0.1}])
    async with mesh(url, script=script) as one:
        await one.postbox.reply(await one.ask(fresh()))
    assert one.signs.said
    assert "tokens, " in str(one.signs.said[0])


async def test_a_deadline_ends_a_call(url: str, tmp_path: Path) -> None:
    script = scripted(tmp_path, answers=[{"fault": "hang"}])
    async with mesh(url, script=script) as one:
        late = fresh(deadline_at=_now() + timedelta(seconds=0.2))
        assert "deadline" in ((await one.postbox.reply(await one.ask(late))).error or "")


async def test_old_calls_are_forgotten(url: str, tmp_path: Path) -> None:
    async with mesh(url) as one:
        request = fresh(engine="extractive")
        await one.postbox.reply(await one.ask(request))
        async with one.database.unit() as unit:
            await one.calls.ledger.purge(unit.connection, _now() + timedelta(seconds=1))
        assert not (await one.postbox.reply(await one.ask(request))).cached
