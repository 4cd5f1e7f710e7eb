"""What is restricted reaches local hosts only, whatever the tables, hosts and failures; keys reach their servers."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.inference.chains import Chain, Routes, asked_of, failure, fell_back
from services.inference.embedding import Batchers
from services.inference.engines import Engines
from services.inference.generation import Choice, EngineFailed, Host, Model
from services.inference.ollama_client import OllamaHost
from services.inference.openai_client import OpenAIHost
from services.inference.routing import Routing, Server
from services.inference.scripted import Script
from services.inference.upstream import Piece
from shared.contracts.generation import Generate, Tried
from shared.contracts.sensitivity import LEVELS, Sensitivity, as_sensitive, strictest
from tests.unit.inference.requests import generate

LOCAL = (
    "http://127.0.0.1:11434", "http://localhost:8080", "http://LOCALHOST", "http://10.1.2.3:80", "http://172.31.0.9",
    "http://192.168.7.7:8080/v1", "http://[::1]:8080", "http://[fd00::1]", "http://ollama:11434", "http://[::ffff:10.0.0.1]",
    "http://host.docker.internal:8080", "http://box.lan:8080",
)  # fmt: skip
FAR = (
    "https://gateway.example.com/v1", "https://127.0.0.1:8443", "https://ollama", "http://gateway.example.com",
    "http://8.8.8.8", "http://172.32.0.1", "http://100.64.0.1", "http://169.254.169.254", "http://0.0.0.0:11434",
    "http://[2001:db8::1]", "http://[::ffff:8.8.8.8]", "http://127.0.0.1.example.com", "http://localhost.example.com",
    "http://127.0.0.1@example.com", "http://example.com#@127.0.0.1", "http://example.com?@localhost", "http://127.1",
    "http://2130706433", "http://0x7f.0.0.1", "http://127.0.0.1\\@example.com", "http://127.0.0.1:99999", "ftp://127.0.0.1",
    "http://ollama.example.com", "http://box:8080", "http://box.lan:9090", "http://127.0.0.1:4000", "http://%6cocalhost",
    "http://", "", "localhost", "http://127.0.0.1 .example.com", "http://[::1", "http://192.168.9.9:1",
)  # fmt: skip
RULES = Routing(
    local_hosts=("ollama", "host.docker.internal", "box.lan:8080"), remote_hosts=("127.0.0.1:4000", "192.168.9.9")
)
NAMES = ("one:8b", "two:8b", "three:8b-cloud", "four:cloud")


@pytest.mark.parametrize("url", LOCAL)
def test_these_are_local(url: str) -> None:
    assert RULES.is_local(url)


@pytest.mark.parametrize("url", FAR)
def test_these_are_not(url: str) -> None:
    assert not RULES.is_local(url)


def test_without_a_port_the_one_of_http_is_meant() -> None:
    assert not Routing(remote_hosts=("127.0.0.1:80",)).is_local("http://127.0.0.1")
    assert Routing(remote_hosts=("127.0.0.1:80",)).is_local("http://127.0.0.1:81")
    assert not Routing(remote_hosts=("[::1]:81",)).is_local("http://[::1]:81")


@dataclass
class Net:
    """What was sent: the address, the model and the level. A host in `down` breaks off."""

    sent: list[tuple[str, str, Sensitivity]] = field(default_factory=list)
    down: set[str] = field(default_factory=set)
    copied: frozenset[str] = frozenset()
    """Models that a local Ollama passes on although their names do not say so."""

    def send(self, url: str, model: str, level: Sensitivity) -> None:
        self.sent.append((url, model, level))
        if url in self.down:
            raise EngineFailed("refused", f"{url} refused")

    async def pieces(self, url: str, model: str, request: Generate) -> AsyncGenerator[Piece, None]:
        self.send(url, model, request.sensitivity)
        yield Piece("Fine [p1].", finish="stop")


class NoOllama(OllamaHost):
    """All of it but the network."""

    net: Net
    models: tuple[Model, ...]

    async def probe(self) -> Host:
        return Host(self.url, () if self.url in self.net.down else self.models)

    def _pieces(self, model: str, request: Generate) -> AsyncGenerator[Piece, None]:
        return self.net.pieces(self.url, model, request)

    async def _shown(self, model: str) -> dict[str, Any]:
        return {"remote_host": "https://ollama.com:443"} if model in self.net.copied else {}


class NoOpenAI(OpenAIHost):
    """All of it but the network."""

    net: Net
    models: tuple[Model, ...]

    async def probe(self) -> Host:
        return Host(self.url, () if self.url in self.net.down else self.models, provider="openai")

    def _pieces(self, model: str, request: Generate) -> AsyncGenerator[Piece, None]:
        return self.net.pieces(self.url, model, request)


@dataclass(frozen=True)
class World:
    """A routing table, hosts of both kinds with their models, what is configured, and what fails."""

    rules: Routing
    near: tuple[str, ...]
    far: tuple[str, ...]
    models: tuple[tuple[Model, ...], ...]
    configured: str
    down: frozenset[str]
    copied: frozenset[str]

    def build(self) -> tuple[Engines, Net]:
        net = Net(down=set(self.down), copied=self.copied)
        hosts: list[NoOllama | NoOpenAI] = []
        for number, url in enumerate((*self.near, *self.far)):
            kind = NoOllama if number % 2 else NoOpenAI
            host = kind(url, local=self.rules.is_local(url))
            host.net, host.models = net, self.models[number % len(self.models)]
            hosts.append(host)
        ollama = [host for host in hosts if isinstance(host, NoOllama)]
        openai = [host for host in hosts if isinstance(host, NoOpenAI)]
        return Engines(ollama, Script(None), openai, configured=self.configured, fresh_s=3600), net


engine = st.sampled_from(["auto", "extractive", *(f"{kind}/{name}" for kind in ("ollama", "openai") for name in NAMES)])
model = st.builds(
    Model,
    name=st.sampled_from(NAMES),
    parameters=st.sampled_from([0.0, 8e9]),
    loaded=st.booleans(),
    embeds=st.booleans(),
)


named = engine.filter(lambda name: name != "auto")
chain = st.builds(
    Chain,
    st.sampled_from(["*", "ollama/*", "openai/*", "auto", *(f"ollama/{name}" for name in NAMES)]),
    st.lists(named, min_size=1, max_size=4, unique=True).map(tuple),
)
routing = st.builds(
    Routes,
    st.dictionaries(st.sampled_from(["research", "plan"]), named),
    st.lists(chain, max_size=3, unique_by=lambda each: each.engine).map(tuple),
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Which hosts are local is known beforehand, and not by the code that is tested."""
    near = draw(st.lists(st.sampled_from(LOCAL), max_size=3, unique=True))
    far = draw(st.lists(st.sampled_from(FAR), max_size=4, unique=True))
    named = draw(st.lists(st.sampled_from(["far.example", "8.8.4.4", "127.0.0.1:4000", "box"]), max_size=2))
    rules = Routing(RULES.local_hosts, (*RULES.remote_hosts, *named))
    models = draw(st.lists(st.lists(model, max_size=3).map(tuple), min_size=1, max_size=4))
    down = draw(st.sets(st.sampled_from([*near, *far]))) if near or far else set()
    copied = draw(st.sets(st.sampled_from(NAMES)))
    return World(rules, tuple(near), tuple(far), tuple(models), draw(engine), frozenset(down), frozenset(copied))


@settings(max_examples=150, deadline=None)
@given(worlds(), engine, st.sampled_from(LEVELS), routing, st.data())
def test_what_is_restricted_is_sent_to_local_hosts_only(
    world: World, wanted: str, level: Sensitivity, routes: Routes, data: st.DataObject
) -> None:
    async def work() -> Net:
        engines, net = world.build()
        await engines.look()
        net.down |= data.draw(st.sets(st.sampled_from([*world.near, *world.far, ""])), "goes down")
        request = generate(engine=wanted, sensitivity=level)
        engines.routes = routes
        avoid, route = None, routes.of(request)
        tried: tuple[Tried, ...] = ()
        for _ in range(12):  # as `Calls` does: chosen, asked, sent on, passed on
            choice = engines.choose(request.engine, avoid=avoid, sensitivity=level, route=route)
            try:
                await engines.ask(choice, request, lambda _: None)
                if not fell_back(wanted, choice):
                    break
            except EngineFailed:
                if not avoid and engines.elsewhere(request, than=choice, route=route):
                    avoid = choice.url
                    continue
            name = asked_of(wanted, route=route, configured=world.configured, choice=choice)
            following = routes.after(name, tried)
            if following is None:
                break
            avoid, route, tried = None, following, (*tried, failure(name, "broken", ""))
        return net

    net = asyncio.run(work())
    for url, asked, with_level in net.sent:
        assert with_level == level
        if level == "restricted":
            assert url in world.near
            assert not asked.endswith("cloud")
            assert not (asked in world.copied and asked in NAMES and _is_ollama(world, url))


@settings(max_examples=100, deadline=None)
@given(worlds(), st.data())
def test_a_wrong_choice_is_stopped_at_the_client_itself(world: World, data: st.DataObject) -> None:
    """Whatever host and model somebody chose, even for an engine that was chosen before the rules changed."""

    async def work() -> Net:
        engines, net = world.build()
        for host in engines.servers:
            name = data.draw(st.sampled_from(NAMES))
            choice = Choice("ollama", f"ollama/{name}", host.url, name)
            with contextlib.suppress(EngineFailed):
                await engines.ask(choice, generate(sensitivity="restricted"), lambda _: None)
        return net

    assert {url for url, _, _ in asyncio.run(work()).sent} <= set(world.near)


def _is_ollama(world: World, url: str) -> bool:
    return (*world.near, *world.far).index(url) % 2 == 1


async def test_embeddings_too() -> None:
    """Neither by choice nor by a wrong one."""
    far = OllamaHost("http://gpu.example.com")
    engines = Engines([far], Script(None), embed_model="all-minilm", fresh_s=3600)
    engines._hosts = (Host(far.url, (Model("all-minilm", chats=False, embeds=True),)),)
    engines._seen_at = float("inf")

    async def look(*, again: bool = False) -> None: ...

    engines.look = look  # type: ignore[method-assign]
    with pytest.raises(EngineFailed, match="no local host has the all-minilm") as failed:
        await engines.embed(["secret"], "restricted")
    assert failed.value.kind == "missing"
    for host in (far, OpenAIHost("https://gateway.example.com")):
        with pytest.raises(EngineFailed, match="is not local, so nothing restricted is sent to it"):
            await host.embed("all-minilm", ["secret"], "restricted")


async def test_no_batch_has_texts_of_two_levels() -> None:
    asked: list[tuple[Sensitivity, list[str]]] = []

    async def ask(texts: Sequence[str], level: Sensitivity) -> tuple[str, list[tuple[float, ...]]]:
        asked.append((level, sorted(texts)))
        return f"{level}/m", [(1.0, 0.0)] * len(texts)

    both = Batchers(ask)
    texts = ("a", "b", "c")
    await asyncio.gather(*(both.embed([f"{level} {text}"], level) for text in texts for level in LEVELS))
    assert sorted(asked) == sorted((level, [f"{level} {text}" for text in texts]) for level in LEVELS)


def test_why_not_is_said() -> None:
    engines = Engines([OllamaHost("http://gpu.example.com")], Script(None))
    engines._hosts = (Host("http://gpu.example.com", (Model("one:8b", 8e9),)),)
    assert engines.choose("ollama/one:8b").usable
    no = engines.choose("ollama/one:8b", sensitivity="restricted")
    assert (no.usable, no.reason) == (
        False,
        "http://gpu.example.com is not local, so nothing restricted is sent to it: use a local model (docs/models.md, "
        "Routing)",
    )
    assert engines.choose("auto", sensitivity="restricted").engine == "extractive"


async def test_a_local_host_is_used_although_others_are_less_busy() -> None:
    near, far = LOCAL[0], "http://gpu.example.com"
    models = ((Model("one:8b", 8e9, loaded=True),),)
    world = World(RULES, (LOCAL[1], near), (LOCAL[2], far), models, "", frozenset(), frozenset())
    engines, net = world.build()
    await engines.look()
    engines.busy[near] = 3
    for level, expected in (("internal", far), ("restricted", near)):
        request = generate(engine="ollama/one:8b", sensitivity=level)
        choice = engines.choose(request.engine, sensitivity=request.sensitivity)
        assert (await engines.ask(choice, request, lambda _: None)).text == "Fine [p1]."
        assert net.sent[-1] == (expected, "one:8b", level)


def test_levels_only_rise() -> None:
    assert strictest("public", "restricted", "internal") == "restricted"
    assert as_sensitive(generate(sensitivity="restricted"), "public").sensitivity == "restricted"
    assert as_sensitive(generate(), "restricted").sensitivity == "restricted"
    assert as_sensitive(generate(sensitivity="public"), "public").sensitivity == "public"


def test_a_key_is_sent_to_its_server_only() -> None:
    one, other = "https://one.example/v1", "https://other.example"
    environ = {"ONE": "1", "EMPTY": ""}
    assert Routing().key_of(one, usual="k", environ=environ) == "k"
    rules = Routing(servers=(Server(one, "ONE"), Server("http://free", ""), Server("http://unset", "EMPTY")))
    keys = {url: rules.key_of(url, usual="k", environ=environ) for url in (one, other, "http://free", "http://unset")}
    assert keys == {one: "1", other: "", "http://free": "", "http://unset": None}
