"""What any model server must do for its client: the stubs of both kinds and a real llama-server meet the same demands.

The real one's model comes from outside: `WARREN_TEST_MODEL_LOADER --files` prints the folder with `gemma3-270m.gguf`.
(The real Ollama has a file of its own, test_ollama.py.)
"""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import httpx
import pytest
from pydantic import BaseModel, Field

from services.inference.anthropic_client import AnthropicHost
from services.inference.generation import EngineFailed, choose_engine
from services.inference.ollama_client import OllamaHost
from services.inference.openai_client import OpenAIHost
from shared.contracts.generation import Generate, Generated
from shared.runtime.step_run import Ask
from shared.runtime.structured import structured
from shared.testing.fault_proxy import FaultProxy
from shared.testing.stub_anthropic import StubAnthropic
from shared.testing.stub_ollama import StubOllama
from shared.testing.stub_openai import StubOpenAI
from tests.integration import engines, tool_talk
from tests.integration.waiting import wait_until
from tests.unit.inference.requests import generate

IMAGE = "ghcr.io/ggml-org/llama.cpp:server"
FILE = "gemma3-270m.gguf"
DEADLINE_S = 120.0
SCHEMA = {"type": "object", "properties": {"n": {"enum": ["one", "two"]}}, "required": ["n"]}
STUBS: dict[str, Any] = {"ollama-stub": StubOllama, "openai-stub": StubOpenAI, "anthropic-stub": StubAnthropic}
STORY = ["once ", "upon ", "a ", "time "] * 5
"""What the stubs say: no more than a stream may repeat before it is cut."""


@dataclass
class Server:
    """A model server; `kill` ends it in the middle of what it does, for good."""

    host: OllamaHost | OpenAIHost | AnthropicHost
    kill: Callable[[], Any]
    provider: str
    model: str
    stub: Any = None

    def speak(self, words: list[str] | None, token_s: float) -> None:
        """A stub is told what to say; a real server speaks for itself."""
        if self.stub:
            self.stub.words, self.stub.token_s = words, token_s


@pytest.fixture(scope="module")
def llama() -> Iterator[tuple[str, Callable[[], Any]]]:
    """Where it is, and what kills it."""
    loader = os.environ.get("WARREN_TEST_MODEL_LOADER")
    if not loader:
        pytest.skip("WARREN_TEST_MODEL_LOADER names no loader of gemma3:270m")
    engines.need_docker()
    from testcontainers.core.container import DockerContainer

    fetched = subprocess.run([loader, "--files"], check=True, timeout=300, capture_output=True, text=True)
    folder = Path(fetched.stdout.split()[-1])
    assert (folder / FILE).is_file()
    server = DockerContainer(IMAGE).with_volume_mapping(str(folder), "/models", "ro")
    server = server.with_volume_mapping(str(tool_talk.TEMPLATES), "/templates", "ro")
    template = "--jinja --chat-template-file /templates/tools.jinja"
    listens = "--alias gemma3:270m --host 0.0.0.0 --port 8080"
    server = server.with_command(f"-m /models/{FILE} {listens} -c 4096 -np 1 {template}")
    server.ports["8080/tcp"] = ("127.0.0.1", None)  # with_exposed_ports would listen on all addresses
    with server:
        url = f"http://127.0.0.1:{server.get_exposed_port(8080)}"
        wait_until(lambda: _answers(url), deadline_s=DEADLINE_S, what=f"llama-server has loaded its model at {url}")
        yield url, server.get_wrapped_container().kill


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


real = pytest.param("llama-server", marks=[pytest.mark.docker, pytest.mark.timeout(600)])


@pytest.fixture(params=["ollama-stub", "openai-stub", "anthropic-stub", real])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    kind = request.param
    wait = timedelta(seconds=DEADLINE_S)
    async with _upstream(kind, request) as (url, kill, stub):
        host: OllamaHost | OpenAIHost | AnthropicHost
        if kind == "anthropic-stub":
            host = AnthropicHost(url, "k", num_ctx=4096, first_token=wait)
        else:
            host = (OllamaHost if kind == "ollama-stub" else OpenAIHost)(url, num_ctx=4096, first_token=wait)
        provider = {"ollama-stub": "ollama", "anthropic-stub": "anthropic"}.get(kind, "openai")
        yield Server(host, kill, provider, stub.model if stub else "gemma3:270m", stub)
        await host.close()


@asynccontextmanager
async def _upstream(kind: str, request: pytest.FixtureRequest) -> AsyncIterator[tuple[str, Callable[[], Any], Any]]:
    """Its address, what kills it, and the stub if it is one. A stub dies as a host does: all connections, no answer."""
    if kind == "llama-server":
        yield *request.getfixturevalue("llama"), None
        return
    async with (
        STUBS[kind].listening() as stub,
        FaultProxy.to(stub.url) as proxy,
    ):
        yield proxy.url.rstrip("/"), proxy.refuse, stub


async def test_the_model_is_found_and_a_missing_one_is_said(server: Server) -> None:
    seen = await server.host.probe()
    assert (seen.error, seen.provider) == (None, server.provider)
    engine = f"{server.provider}/{server.model}"
    found = choose_engine("auto", configured=engine, hosts=[seen])
    assert (found.engine, found.url, found.reason) == (engine, server.host.url, None)
    missing = choose_engine(f"{server.provider}/nowhere", configured="", hosts=[seen])
    assert not missing.usable
    assert f"{server.host.url} does not have nowhere" in (missing.reason or "")


async def test_a_chat_is_streamed_and_counted(server: Server) -> None:
    server.speak(STORY, 0.0)
    counted: list[int] = []
    request = generate("Tell a story.", max_tokens=12, seed=7)
    answer = await server.host.chat(server.model, request, counted.append)
    assert answer.finish in ("stop", "length")
    assert answer.text
    assert 0 < answer.tokens_out <= 12
    assert answer.tokens_in > 0
    assert counted == list(range(1, len(counted) + 1))
    assert 0 < answer.first_token_s <= answer.total_s


async def test_one_call_after_another_is_answered_each_time(server: Server) -> None:
    """llama-server closes after each stream, whatever it says: of calls that reused a connection a third failed."""
    server.speak(STORY, 0.0)
    for _ in range(6):
        assert (await server.host.chat(server.model, generate("Say one.", max_tokens=2), lambda _: None)).tokens_out
        assert (await server.host.probe()).error is None


async def test_what_is_cut_by_the_limit_is_no_success(server: Server) -> None:
    server.speak(STORY, 0.0)
    answer = await server.host.chat(server.model, generate("Tell a long story.", max_tokens=5), lambda _: None)
    assert (answer.finish, answer.tokens_out) == ("length", 5)


async def test_a_schema_is_held_to(server: Server) -> None:
    request = generate("Say one.", max_tokens=60, output_schema=SCHEMA)
    answer = await server.host.chat(server.model, request, lambda _: None)
    assert answer.finish == "stop"
    assert json.loads(answer.text)["n"] in ("one", "two")


async def test_a_tool_is_called_and_a_picture_is_not_seen(server: Server) -> None:
    if server.stub:
        server.stub.tool_calls = ({"name": "get_weather", "arguments": {"city": "Oslo"}},)
        server.stub.can = ("completion", "tools")
    await tool_talk.calls_a_tool(server.host, server.model)
    await tool_talk.says_that_it_cannot_see(server.host, server.model)


class Side(BaseModel):
    side: Literal["left", "right"]


class Verdict(BaseModel):
    """With a reference, and with what is known to end a whole Ollama when it is sent there."""

    where: Side
    sure: Literal["yes", "no"]
    why: Annotated[str | None, Field(max_length=100_000, json_schema_extra={"pattern": "^(?=x).*$"})] = None


async def test_an_object_of_ones_own_is_had_and_the_server_lives(server: Server) -> None:
    asked: list[Generate] = []

    async def ask(command: Generate, reply: type[Generated], *, deadline_s: float = 0.0) -> Generated:
        asked.append(command)
        answer = await server.host.chat(server.model, command, lambda _: None)
        return Generated(call=command.call, finish=answer.finish, text=answer.text, engine="m")

    request = generate("On which side is the door? Are you sure?", purpose="chat", max_tokens=200)
    answer = await structured(cast(Ask, ask), request, wanted=Verdict, attempts=3)
    assert answer.value.where.side in ("left", "right")
    assert answer.value.sure in ("yes", "no")
    assert [request.call.ordinal for request in asked] == list(range(len(answer.attempts)))
    assert (await server.host.probe()).error is None


async def test_a_wrong_object_is_asked_for_again_over_the_wire(server: Server) -> None:
    """A real server holds the shape: only a stub can be told to answer wrongly."""
    if not server.stub:
        return
    server.speak(["```json\n", '{"where": ', '{"side": "up"}, ', '"sure": "yes"}', "\n```"], 0.0)
    told: list[str] = []

    async def ask(command: Generate, reply: type[Generated], *, deadline_s: float = 0.0) -> Generated:
        told.append(command.messages[-1].content)
        answer = await server.host.chat(server.model, command, lambda _: None)
        server.speak(None, 0.0)  # from now on it holds the shape
        return Generated(call=command.call, finish=answer.finish, text=answer.text, engine="m")

    request = generate("On which side is the door?", purpose="chat", max_tokens=200)
    answer = await structured(cast(Ask, ask), request, wanted=Verdict)
    assert [len(attempt.errors) for attempt in answer.attempts] == [1, 0]
    assert "where.side: Input should be 'left' or 'right'" in told[1]


async def test_cancelling_stops_the_model(server: Server) -> None:
    """Were it still writing, the next call would wait for 3,000 tokens: there is one slot."""
    server.speak([f"word{n} " for n in range(3000)], 0.05)
    started = asyncio.Event()
    request = generate("Tell a long story.", max_tokens=3000, temperature=1.0)
    call = asyncio.create_task(server.host.chat(server.model, request, lambda _: started.set()))
    async with asyncio.timeout(DEADLINE_S):
        await started.wait()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert call.cancelled()
    server.speak(STORY, 0.0)
    async with asyncio.timeout(20):
        await server.host.chat(server.model, generate("Why?", max_tokens=4), lambda _: None)
        while server.stub and server.stub.open:
            await server.host.probe()
    assert not server.stub or [call.finished for call in server.stub.calls] == [False, True]


async def test_a_server_that_dies_in_mid_call_is_a_typed_failure(server: Server) -> None:
    """The last one: there is one real server for all of this file."""
    server.speak([f"word{n} " for n in range(3000)], 0.05)
    started = asyncio.Event()
    request = generate("Tell a long story.", max_tokens=3000, temperature=1.0)
    call = asyncio.create_task(server.host.chat(server.model, request, lambda _: started.set()))
    async with asyncio.timeout(DEADLINE_S):
        await started.wait()
        await asyncio.to_thread(server.kill) if server.stub is None else server.kill()
        with pytest.raises(EngineFailed) as failed:
            await call
    assert failed.value.kind == "broken"
    assert server.host.url in failed.value.reason
    assert (await server.host.probe()).error
