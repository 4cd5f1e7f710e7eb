"""Which engines there are now: hosts are asked every few seconds, so that an Ollama started later is used."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from services.inference import extractive
from services.inference.anthropic_client import AnthropicHost
from services.inference.away import Away, Hold
from services.inference.breaker import Breakers
from services.inference.chains import Routes
from services.inference.deadlines import Chance
from services.inference.generation import (
    SERVERS,
    Choice,
    EngineFailed,
    Host,
    Trouble,
    choose_embedder,
    choose_engine,
    with_loaded,
)
from services.inference.llamacli import LlamaCli
from services.inference.ollama_client import OllamaHost
from services.inference.openai_client import OpenAIHost
from services.inference.placement import Option
from services.inference.prices import Price, cost
from services.inference.rates import Rates, Took
from services.inference.recording import Recorder, Replay
from services.inference.routing import open_to
from services.inference.scripted import Script
from services.inference.upstream import Answer, Progress
from shared.contracts.generation import Generate
from shared.contracts.sensitivity import USUAL, Sensitivity

log = structlog.get_logger()
BUILT_IN_SLOTS = {"extractive": 2, "scripted": 64, "replay": 64}
"""Extractive calls take milliseconds of one core; more at once would only starve the loop."""
OF_THE_HOST = frozenset({"refused", "broken", "silent"})
"""Troubles that open a host's breaker."""
JUST_USED_S = 30.0
QUOTING = frozenset({"research", "section", "summary", "repair"})


@dataclass
class Engines:
    """`configured`: WARREN_MODEL. `slots`: calls at once per host. `fresh_s`: how long a look at a host is believed."""

    ollama: Sequence[OllamaHost]
    script: Script
    openai: Sequence[OpenAIHost] = ()
    programs: Sequence[LlamaCli] = ()
    anthropic: Sequence[AnthropicHost] = ()
    replay: Replay = field(default_factory=lambda: Replay(None))
    recorder: Recorder | None = None
    configured: str = ""
    routes: Routes = field(default_factory=Routes)
    embed_model: str = ""
    slots: int = 1
    fresh_s: float = 5.0
    prices: Sequence[Price] = ()
    status: dict[str, Any] = field(default_factory=dict)
    """Where to show the engine that `auto` takes: the heartbeat."""
    busy: Counter[str] = field(default_factory=Counter)
    breakers: Breakers = field(default_factory=Breakers)
    away: Away = field(default_factory=Away)
    rates: Rates = field(default_factory=Rates)
    _hosts: tuple[Host, ...] = ()
    _seen_at: float = float("-inf")
    _used: dict[tuple[str, str], float] = field(default_factory=dict)
    """Host and model: when a call there last began or ended."""
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def servers(self) -> list[OllamaHost | OpenAIHost | LlamaCli | AnthropicHost]:
        """All hosts, in the order in which `auto` considers them."""
        return [*self.ollama, *self.openai, *self.programs, *self.anthropic]

    async def look(self, *, again: bool = False) -> None:
        """Asks the hosts, if they were not asked just now, or in any case."""
        async with self._looking:
            if not again and time.monotonic() - self._seen_at < self.fresh_s:
                return
            before = self.choose("auto")
            seen = await asyncio.gather(*(host.probe() for host in self.servers))
            pairs = zip(seen, self.servers, strict=True)
            self._hosts = tuple(replace(host, local=server.local) for host, server in pairs)
            self._seen_at = time.monotonic()
            self.breakers.seen({host.url for host in self._hosts if host.error is None})
            self.away.seen(self._hosts)
            now = self.choose("auto")
            self.status["engine"] = now.engine
            if now != before:
                log.info("engine", engine=now.engine, reason=now.reason)

    async def find(self, wanted: str, *, sensitivity: Sensitivity = USUAL) -> Choice:
        """As it is now. A no is never an old one: the model may have been pulled since the last look."""
        await self.look()
        choice = self.choose(wanted, sensitivity=sensitivity)
        if not choice.usable:
            await self.look(again=True)
            choice = self.choose(wanted, sensitivity=sensitivity)
        return choice

    def choose(
        self, wanted: str, *, avoid: str | None = None, sensitivity: Sensitivity = USUAL, route: str | None = None
    ) -> Choice:
        """By what was last seen; at a host that failed of late, or that is to be avoided, only if there is no other;
        what is restricted, at local hosts only. `route`: what the routing table has in place of `wanted`; of `auto`,
        in place of what is configured."""
        configured, wanted = (route or self.configured, wanted) if wanted == "auto" else ("", route or wanted)
        shunned = self.breakers.shunned(busy=self.busy) | ({avoid} if avoid else set())
        hosts = open_to(sensitivity, self._hosts)
        return choose_engine(wanted, configured=configured, hosts=hosts, busy=self.busy, avoid=shunned)

    def hold(self, wanted: str, *, avoid: str | None = None, sensitivity: Sensitivity = USUAL) -> Hold | None:
        """The host that a call which names its engine waits for; None where one can be asked, or none is expected.
        `auto` waits for nobody: it quotes."""
        if wanted == "auto":
            return None
        choice = self.choose(wanted, avoid=avoid, sensitivity=sensitivity)
        if choice.url:  # it answers: who has not failed there asks an only host all the same
            shut = choice.url == avoid and self.breakers.shut(choice.url)
            return Hold(choice, "it failed", self.breakers.since_s(choice.url)) if shut else None
        if choice.usable:
            return None
        hosts = open_to(sensitivity, self._hosts)
        here = choose_engine(wanted, configured=self.configured, hosts=open_to(sensitivity, self.away.expected(hosts)))
        allowed = [host for host in self._hosts if host.local or sensitivity != "restricted"]
        found = here if here.usable else self.away.was_known(wanted, allowed)
        return Hold(found, choice.reason or "", self.away.since_s(found.url)) if found else None

    async def comes_back(self, request: Generate, *, to: Choice, kind: str) -> bool:
        """Is a call that failed like this made again at this host, once that answers? Not where it was slow and is
        there all the same: it would be slow again."""
        if request.engine == "auto" or kind not in OF_THE_HOST or to.provider == "llamacli":
            return False
        await self.look(again=True)
        there = not any(host.url == to.url and host.error for host in self._hosts)
        return kind != "silent" if there else self.away.in_time(to.url)

    def elsewhere(self, request: Generate, *, than: Choice, route: str | None = None) -> bool:
        """Is there another host of this kind for it, which has not failed of late?"""
        found = self.choose(request.engine, avoid=than.url, sensitivity=request.sensitivity, route=route)
        shunned = {than.url, *self.breakers.shunned(busy=self.busy)}
        return found.provider == than.provider and found.url not in shunned

    def options(self, choice: Choice, *, avoid: str | None, sensitivity: Sensitivity) -> list[Option]:
        """The hosts where a call of this engine may be made now; that of `choice` if all others are to be avoided."""
        shunned = self.breakers.shunned(busy=self.busy) | ({avoid} if avoid else set())
        hosts = [host for host in open_to(sensitivity, self._hosts) if host.provider == choice.provider]
        has = [host.url for host in hosts if any(model.name == choice.model for model in host.models)]
        places = [url for url in has if url not in shunned] or [choice.url]
        speeds = {url: self.rates.typical(url, choice.model) for url in places}
        return [Option(url, speeds[url], self._is_cold(replace(choice, url=url))) for url in places]

    def evicts(self, option: Option, model: str, wanted: Collection[str]) -> bool:
        """Would a call there have a model unloaded that has just been used, and for which calls wait? This process
        knows of its own calls only."""
        since = time.monotonic() - JUST_USED_S
        loaded = {m.name for host in self._hosts if host.url == option.url for m in host.models if m.loaded}
        others = (loaded & set(wanted)) - {model}
        return option.cold and any(self._used.get((option.url, other), since) > since for other in others)

    def at_once(self) -> dict[str, int]:
        """Calls that a host may have at once: one while it is tried again."""
        return {host.url: 1 if self.breakers.tries(host.url) else self.slots for host in self.servers}

    def free(self) -> dict[str, int]:
        """Free slots by lane. What cannot be had at all fails at once, in a lane of its own."""
        lanes = {**BUILT_IN_SLOTS, "none": 16, **self.at_once()}
        return {lane: slots - self.busy[lane] for lane, slots in lanes.items()}

    def slots_of(self, choice: Choice) -> int:
        """Slots that calls of this engine share."""
        hosts = {"openai": len(self.openai), "llamacli": 1, "anthropic": 1}.get(choice.provider, len(self.ollama))
        return BUILT_IN_SLOTS.get(choice.lane) or self.slots * max(1, hosts)

    async def ask(self, choice: Choice, request: Generate, on_token: Progress) -> Answer:
        """Raises EngineFailed."""
        if choice.provider in SERVERS:
            cold = self._is_cold(choice)
            self._used[(choice.url, choice.model)] = time.monotonic()
            try:
                answer = await self._host(choice.url).chat(choice.model, request, on_token)
            except EngineFailed as error:
                if error.kind in OF_THE_HOST:
                    self.breakers.bad(choice.url)
                if error.kind == "refused":
                    self._mark(choice.url, str(error))
                raise
            self.breakers.good(choice.url)
            took = Took(answer.tokens_out, request.max_tokens, answer.first_token_s, answer.total_s)
            self.rates.note(choice.url, choice.model, took, cold=cold)
            self._used[(choice.url, choice.model)] = time.monotonic()
            self._loaded(choice)
            if self.recorder:
                await self.recorder.note(request, choice.engine, answer)
            return answer
        if choice.provider == "replay":
            return await self.replay.chat(request, on_token)
        if choice.provider == "scripted":
            return await self.script.chat(request, on_token)
        if choice.provider == "none":
            raise EngineFailed(
                choice.trouble or self._why_none(choice.engine), choice.reason or f"{choice.engine} cannot be had"
            )
        return await self.quote(request)

    def cost(self, engine: str, answer: Answer) -> float | None:
        """US dollars; None when there is no price for this engine."""
        return cost(self.prices, engine, tokens_in=answer.tokens_in, tokens_out=answer.tokens_out)

    async def quote(self, request: Generate) -> Answer:
        """The extractive engine's answer; finish `unsupported` where quoting is no answer (plans, chats, tools)."""
        if request.call.purpose not in QUOTING or request.tools:
            return Answer("", "unsupported", 0, 0, 0.0, 0.0)
        began = time.monotonic()
        text = await asyncio.to_thread(extractive.answer, request.inputs)
        return Answer(text, "stop", 0, 0, 0.0, time.monotonic() - began)

    async def embed(
        self, texts: Sequence[str], sensitivity: Sensitivity = USUAL
    ) -> tuple[str, list[tuple[float, ...]]]:
        """The engine's name and a vector per text. Raises EngineFailed. A no is never an old one here, either."""
        await self.look()
        found = choose_embedder(open_to(sensitivity, self._hosts), self.embed_model)
        if found is None:
            await self.look(again=True)
            found = choose_embedder(open_to(sensitivity, self._hosts), self.embed_model)
        if found is None:
            wanted, which = (
                self.embed_model or "embedding model",
                "local host" if sensitivity == "restricted" else "host",
            )
            raise EngineFailed(
                "missing", f"no {which} has the {wanted}: `ollama pull {self.embed_model or 'all-minilm'}`"
            )
        host, model = found
        return f"{host.provider}/{model.name}", await self._host(host.url).embed(model.name, texts, sensitivity)

    def _host(self, url: str) -> OllamaHost | OpenAIHost | LlamaCli | AnthropicHost:
        return next(host for host in self.servers if host.url == url)

    def _is_cold(self, choice: Choice) -> bool:
        """Has the host to load the model first, as it was last seen? Only Ollama tells."""
        models = [model for host in self._hosts if host.url == choice.url for model in host.models]
        return choice.provider == "ollama" and any(m.name == choice.model and not m.loaded for m in models)

    def _loaded(self, choice: Choice) -> None:
        """It has just answered there."""
        if self._is_cold(choice):
            self._hosts = tuple(
                with_loaded(host, choice.model) if host.url == choice.url else host for host in self._hosts
            )

    def chances(self, choice: Choice, *, sensitivity: Sensitivity) -> list[Chance]:
        """All hosts that a call of this engine could be made at."""
        found = []
        for host in open_to(sensitivity, self._hosts):
            here = replace(choice, url=host.url)
            if host.provider == choice.provider and any(model.name == choice.model for model in host.models):
                found.append(Chance(self.slots, self.rates.best(host.url, choice.model), self._is_cold(here)))
        return found

    def _why_none(self, engine: str) -> Trouble:
        kind = [host for host in self._hosts if host.provider == engine.partition("/")[0]]
        return "refused" if kind and all(host.error for host in kind) else "unsupported"

    def _mark(self, url: str, error: str) -> None:
        """Not to be chosen until it is seen again."""
        self._hosts = tuple(replace(h, error=error, models=()) if h.url == url else h for h in self._hosts)
        self.away.missed(url)

    async def close(self) -> None:
        for host in self.servers:
            await host.close()
