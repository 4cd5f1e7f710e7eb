"""What cannot finish by its deadline is refused at once, by the speed that its host had. Calls are counted there."""

from datetime import timedelta

from shared.testing.stub_ollama import StubOllama
from tests.integration.inference_replica import Mesh, _now, fresh, mesh, postgres, url
from tests.integration.test_inference_slots import hosts

__all__ = ["postgres", "url"]
NAMED = "ollama/stub"
WORDS = 20
PACE_S = 0.02
"""Between words: a call takes 0.4 s at least."""


def slow() -> StubOllama:
    return StubOllama.listening(token_s=PACE_S, words=[f"word{n} " for n in range(WORDS)])  # type: ignore[return-value]


async def learn(one: Mesh) -> None:
    for _ in range(3):
        answer = await one.postbox.reply(await one.ask(fresh(engine=NAMED, max_tokens=WORDS)))
        assert answer.finish == "stop"


async def test_a_call_that_would_be_late_is_refused_with_figures_and_never_made(url: str) -> None:
    async with slow() as stub, mesh(url, engines=hosts(stub)) as one:
        unknown = fresh(engine=NAMED, max_tokens=WORDS, deadline_at=_now() + timedelta(milliseconds=200))
        first = await one.postbox.reply(await one.ask(unknown))
        assert first.error_kind != "late", "nobody knows the host yet"
        await learn(one)
        before = len(stub.calls)
        soon = _now() + timedelta(milliseconds=200)
        late = await one.postbox.reply(await one.ask(fresh(engine=NAMED, max_tokens=WORDS, deadline_at=soon)))
        quoted = await one.postbox.reply(await one.ask(fresh(max_tokens=WORDS, deadline_at=soon)))
        in_time = _now() + timedelta(seconds=60)
        good = await one.postbox.reply(await one.ask(fresh(engine=NAMED, max_tokens=WORDS, deadline_at=in_time)))
    assert (late.finish, late.error_kind) == ("failed", "late")
    assert "ollama/stub needs at least 0." in (late.error or "")
    assert (quoted.finish, quoted.engine) == ("stop", "extractive"), "auto has something else that is in time"
    assert good.finish == "stop"
    assert len(stub.calls) == before + 1


async def test_who_is_behind_too_many_others_is_refused_before_they_have_run(url: str) -> None:
    async with slow() as stub, mesh(url, engines=hosts(stub)) as one:
        await learn(one)
        before = len(stub.calls)
        key = fresh(engine=NAMED, max_tokens=WORDS, priority=5)
        for n in range(6):
            await one.ask(key.model_copy(update={"call": key.call.model_copy(update={"ordinal": n})}))
        deadline = _now() + timedelta(seconds=1.2)  # enough for two calls
        late = await one.postbox.reply(await one.ask(fresh(engine=NAMED, max_tokens=WORDS, deadline_at=deadline)))
        assert len(stub.calls) < before + 6, "at once"
    assert late.error_kind == "late"


async def test_what_the_ledger_has_seen_is_known_to_the_next_process(url: str) -> None:
    async with slow() as stub:
        async with mesh(url, engines=hosts(stub)) as one:
            await learn(one)
        async with mesh(url, name="inference-2", engines=hosts(stub)) as two:
            soon = _now() + timedelta(milliseconds=200)
            late = await two.postbox.reply(await two.ask(fresh(engine=NAMED, max_tokens=WORDS, deadline_at=soon)))
    assert late.error_kind == "late"
    assert len(stub.calls) == 3
