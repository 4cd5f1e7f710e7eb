"""Calls are recorded with a stub server and replayed without one."""

from pathlib import Path

import pytest

from services.inference.engines import Engines
from services.inference.generation import EngineFailed
from services.inference.openai_client import OpenAIHost
from services.inference.recording import Recorder, Replay
from services.inference.scripted import Script
from services.inference.upstream import Count
from shared.contracts.chat import Tool, ToolCall
from shared.testing.stub_openai import StubOpenAI
from tests.unit.inference.requests import generate

LOOK = Tool(name="look_up")


async def recorded(path: Path) -> None:
    """Two answers to one question, one of another with a tool."""
    called = ({"id": "c1", "name": "look_up", "arguments": {"city": "Oslo"}},)
    async with StubOpenAI.listening(key="a-secret-key", can=("tools",), tool_calls=called) as stub:
        hosts = [OpenAIHost(stub.url, "a-secret-key")]
        engines = Engines([], Script(None), openai=hosts, recorder=Recorder(path))
        choice = await engines.find(f"openai/{stub.model}")
        for words, request in (
            (["One ", "way [p1]."], generate("How?", goal_id="goal-of-a")),
            (["Another ", "way [p1]."], generate("How?")),
            (["Let us see."], generate("Why?", tools=(LOOK,))),
        ):
            stub.words = words
            await engines.ask(choice, request, lambda _: None)
        stub.refusing = (500, {"message": "boom"})
        with pytest.raises(EngineFailed):
            await engines.ask(choice, generate("What?"), lambda _: None)
        await engines.close()


async def test_what_was_recorded_is_answered_again_by_anybody_in_order_and_no_secret_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    await recorded(path)
    text = path.read_text()
    assert len(text.splitlines()) == 3  # a failure is nobody's answer
    assert not [secret for secret in ("a-secret-key", "127.0.0.1", "goal-of-a") if secret in text]
    assert path.stat().st_mode & 0o777 == 0o600
    engines = Engines([], Script(None), replay=Replay(path), configured="replay")
    choice = await engines.find("auto")
    assert (choice.engine, choice.usable) == ("replay", True)
    seen: list[str] = []
    asked = generate("How?", goal_id="another", step="s9", priority=9)

    def on_token(count: int) -> None:
        seen.append(count.text if isinstance(count, Count) else "")

    texts = [(await engines.ask(choice, asked, on_token)).text for _ in range(3)]
    assert texts == ["One way [p1].", "Another way [p1].", "Another way [p1]."]
    assert "".join(seen) == "".join(texts)
    answer = await engines.ask(choice, generate("Why?", tools=(LOOK,)), lambda _: None)
    assert answer.tool_calls == (ToolCall(id="c1", name="look_up", arguments={"city": "Oslo"}),)


async def test_what_was_not_recorded_is_told_beside_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    await recorded(path)
    replay = Replay(path)
    with pytest.raises(EngineFailed) as failed:
        await replay.chat(generate("Why not?", tools=(LOOK,)), lambda _: None)
    assert failed.value.kind == "missing"
    assert "line 3, which differs in messages: recorded ...'Why?', asked ...'Why not?'" in failed.value.reason
    with pytest.raises(EngineFailed, match="line 1, which differs in seed"):
        await replay.chat(generate("How?", seed=7), lambda _: None)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("\udcff", "line 0 is no"),
        (None, "No such file"),
        ("", "no recorded call"),
        ("{}\n", "line 1 is no"),
        ('{"asked": 1\n', "line 1 is no"),
    ],
)
async def test_a_file_that_is_none_says_so(tmp_path: Path, content: str | None, why: str) -> None:
    path = tmp_path / "calls.jsonl"
    if content is not None:
        path.write_text(content, errors="surrogateescape")
    with pytest.raises(EngineFailed, match=why):
        await Replay(path).chat(generate(), lambda _: None)
    with pytest.raises(EngineFailed, match="WARREN_REPLAY names"):
        await Replay(None).chat(generate(), lambda _: None)


async def test_a_record_that_cannot_be_written_costs_no_answer(tmp_path: Path) -> None:
    async with StubOpenAI.listening(words=["Yes."]) as stub:
        recorder = Recorder(tmp_path / "no folder" / "calls.jsonl")
        engines = Engines([], Script(None), openai=[OpenAIHost(stub.url)], recorder=recorder)
        answer = await engines.ask(await engines.find(f"openai/{stub.model}"), generate(), lambda _: None)
        await engines.close()
    assert answer.text == "Yes."
    assert answer.finish == "stop"
