"""What holds a mesh up, in one line."""

import asyncio
from datetime import UTC, datetime

import pytest

from services.cli.bottleneck import bottleneck, keep_looking
from services.cli.tree import GoalTree
from shared.contracts.generation import EngineDescribed
from shared.errors import NoReply


def described(*, slots: int, running: int, waiting: int) -> EngineDescribed:
    return EngineDescribed(engine="ollama/m", slots=slots, running=running, waiting=waiting)


def test_a_full_inference_is_named_with_its_slots_and_its_queue() -> None:
    said = bottleneck(described(slots=1, running=1, waiting=7))
    assert said == "inference: 1 slot, 7 waiting: more researchers will not help"
    assert bottleneck(described(slots=2, running=2, waiting=1)) == (
        "inference: 2 slots, 1 waiting: more researchers will not help"
    )


@pytest.mark.parametrize(("running", "waiting"), [(1, 3), (2, 0), (0, 0)])
def test_a_free_slot_or_an_empty_queue_is_no_bottleneck(running: int, waiting: int) -> None:
    assert bottleneck(described(slots=2, running=running, waiting=waiting)) is None


def test_the_sign_of_life_of_a_goal_says_it() -> None:
    tree = GoalTree("What?", "g", bottleneck="inference: 1 slot, 7 waiting: more researchers will not help")
    assert "1 slot, 7 waiting" in tree.sign_of_life(datetime.now(UTC))


async def test_looking_goes_on_when_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.cli.bottleneck.LOOK_S", 0)
    told: list[str | None] = []
    twice = asyncio.Event()

    class Client:
        asked = 0

        async def ask(self, *_: object, **__: object) -> EngineDescribed:
            self.asked += 1
            if self.asked == 1:
                raise NoReply("nobody there")
            return described(slots=1, running=1, waiting=2)

    def tell(found: str | None) -> None:
        told.append(found)
        if len(told) == 2:
            twice.set()

    looking = asyncio.create_task(keep_looking(Client(), tell))  # type: ignore[arg-type]
    async with asyncio.timeout(10):
        await twice.wait()
    looking.cancel()
    assert told[0] is None
    assert "2 waiting" in str(told[1])
