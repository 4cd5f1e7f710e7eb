"""Texts to embed are batched, and a bad one fails alone."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from services.inference.embedding import BATCH, MAX_CHARACTERS, Batcher
from services.inference.generation import EngineFailed, Trouble


@dataclass
class Model:
    """Embeds a text as (its length, 0); fails on `bad` texts, and always when `down`."""

    bad: str = ""
    down: Trouble | None = None
    calls: list[list[str]] = field(default_factory=list)

    async def ask(self, texts: Sequence[str]) -> tuple[str, list[tuple[float, ...]]]:
        self.calls.append(list(texts))
        if self.down:
            raise EngineFailed(self.down, "no host")
        if self.bad in texts and self.bad:
            raise EngineFailed("broken", "this text is bad")
        return "ollama/m", [(float(len(text)), 0.0) for text in texts]


async def test_texts_asked_for_together_are_one_call() -> None:
    model = Model()
    batcher = Batcher(model.ask)
    answers = await asyncio.gather(*(batcher.embed([f"text {n}"]) for n in range(10)))
    assert len(model.calls) == 1
    assert all(answer.engine == "ollama/m" for answer in answers)


async def test_a_full_batch_does_not_wait() -> None:
    model = Model()
    batcher = Batcher(model.ask, wait_s=3600)
    await asyncio.wait_for(batcher.embed(["a"] * (2 * BATCH)), 30)
    assert [len(call) for call in model.calls] == [BATCH, BATCH]


async def test_one_text_waits_no_longer_than_its_time() -> None:
    assert (await asyncio.wait_for(Batcher(Model().ask).embed(["a"]), 30)).vectors == ((1.0, 0.0),)


async def test_a_bad_text_fails_alone() -> None:
    model = Model(bad="bad")
    found = await Batcher(model.ask).embed(["good", "bad", "fine"])
    assert found.failed == {1: "this text is bad"}
    assert found.vectors == ((1.0, 0.0), (), (1.0, 0.0))
    assert model.calls == [["good", "bad", "fine"], ["good"], ["bad"], ["fine"]]


async def test_a_bad_text_does_not_fail_the_request_beside_it() -> None:
    batcher = Batcher(Model(bad="bad").ask)
    one, other = await asyncio.gather(batcher.embed(["bad"]), batcher.embed(["good"]), return_exceptions=True)
    assert isinstance(one, EngineFailed)
    assert not isinstance(other, BaseException)
    assert other.failed == {}


@pytest.mark.parametrize("kind", ["missing", "refused"])
async def test_a_host_that_is_away_is_asked_once(kind: Trouble) -> None:
    model = Model(down=kind)
    with pytest.raises(EngineFailed) as failed:
        await Batcher(model.ask).embed(["a", "b", "c"])
    assert failed.value.kind == kind
    assert len(model.calls) == 1


async def test_vectors_have_length_one() -> None:
    async def ask(texts: Sequence[str]) -> tuple[str, list[tuple[float, ...]]]:
        return "ollama/m", [(3.0, 4.0), (0.0, 0.0)]

    found = await Batcher(ask).embed(["a", "b"])
    assert found.vectors == ((0.6, 0.8), ())
    assert "no usable vector" in found.failed[1]


async def test_a_long_text_is_cut() -> None:
    model = Model()
    await Batcher(model.ask).embed(["x" * 100_000])
    assert len(model.calls[0][0]) == MAX_CHARACTERS


async def test_who_goes_away_takes_nobody_along() -> None:
    batcher = Batcher(Model().ask)
    gone = asyncio.create_task(batcher.embed(["gone"]))
    stays = asyncio.create_task(batcher.embed(["stays"]))
    await asyncio.sleep(0)
    gone.cancel()
    assert (await asyncio.wait_for(stays, 30)).failed == {}
