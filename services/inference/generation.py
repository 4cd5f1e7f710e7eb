"""What inference decides: which engine answers, what the ledger says to a request, what runs next. Pure."""

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from shared.contracts.generation import CallKey, Generate
from shared.contracts.sensitivity import USUAL, Sensitivity
from shared.errors import WarrenError

REFUSED = "Ollama on Linux listens on 127.0.0.1 only, set OLLAMA_HOST=0.0.0.0 or use --profile ollama"
MIN_PARAMETERS = 3e9
"""`auto` takes no smaller model by itself: below it, quoting is better. Naming one overrules this."""
NEAREST_PARAMETERS = 8e9
Server = Literal["ollama", "openai", "llamacli", "anthropic"]
Provider = Literal["ollama", "openai", "llamacli", "anthropic", "extractive", "scripted", "replay", "none"]
SERVERS: tuple[Server, ...] = ("ollama", "openai", "llamacli", "anthropic")
"""Providers that are asked at hosts, in the order in which `auto` considers them."""
BUILT_IN: tuple[Literal["extractive", "scripted", "replay"], ...] = ("extractive", "scripted", "replay")
Trouble = Literal[
    "refused",
    "denied",
    "missing",
    "busy",
    "memory",
    "silent",
    "broken",
    "too_long",
    "unsupported",
    "late",
    "unknown_host",
    "restricted",
]


class EngineFailed(WarrenError):
    """A model call did not come to a result; `str` says what to do. `kind` is machine-readable."""

    def __init__(self, kind: Trouble, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True)
class Model:
    """A model that a host has. `parameters`: how many, 0 when the host does not say. `unasked`: may be taken by
    `auto`, if the other rules allow it."""

    name: str
    parameters: float = 0.0
    chats: bool = True
    embeds: bool = False
    loaded: bool = False
    unasked: bool = True


@dataclass(frozen=True)
class Host:
    """A model server as last seen; `error` says why it cannot be used, with what to do. `local`: what is restricted
    may be sent to it."""

    url: str
    models: tuple[Model, ...] = ()
    error: str | None = None
    provider: Server = "ollama"
    local: bool = False


def with_loaded(host: Host, model: str) -> Host:
    """The host with this model loaded."""
    return replace(host, models=tuple(replace(m, loaded=m.loaded or m.name == model) for m in host.models))


@dataclass(frozen=True)
class Choice:
    """Which engine answers. `engine`: as reports name it. `reason`: why not another one; None when all is well."""

    provider: Provider
    engine: str
    url: str = ""
    model: str = ""
    reason: str | None = None
    trouble: Trouble | None = None
    """Of one that cannot be had: which, where it is known."""

    @property
    def lane(self) -> str:
        """Calls of one lane share its slots: a host for models, one lane for each built-in engine."""
        return self.url or self.provider

    @property
    def usable(self) -> bool:
        return self.provider != "none"


def choose_engine(
    wanted: str,
    *,
    configured: str,
    hosts: Sequence[Host],
    busy: Mapping[str, int] | None = None,
    avoid: Collection[str] = (),
) -> Choice:
    """`wanted` is what the request names; `auto` follows `configured` (WARREN_MODEL) and falls back to extractive.

    `busy`: calls running per host, the least busy one that has the model (loaded, if any) is taken.
    `avoid`: hosts that failed; taken only if no other of their kind has the model.
    """
    name = (configured or "auto") if wanted == "auto" else wanted
    for built_in in BUILT_IN:
        if name == built_in:
            return Choice(built_in, built_in)
    provider, _, model = name.partition("/")
    if provider != "auto" and provider not in SERVERS:
        known = "auto, extractive, ollama/<model>, openai/<model>, anthropic/<model> or llamacli/<file>"
        return _without(wanted, f"unknown engine {name!r}: use {known}")
    load = busy or {}
    meant = [kind for kind in SERVERS if provider in ("auto", kind)]
    for kind in meant:
        placed = [(host, found) for host in hosts if host.provider == kind and (found := choose_model(host, model))]
        if placed:
            host, found = min(
                placed, key=lambda each: (each[0].url in avoid, load.get(each[0].url, 0), not each[1].loaded)
            )
            return Choice(kind, f"{kind}/{found.name}", host.url, found.name)
    return _without(wanted, _why_no_model(hosts, model, providers=meant))


def choose_model(host: Host, named: str) -> Model | None:
    """The named model; else the loaded chat model, else the one nearest to 8B. Never embedding-only or under 3B."""
    if named:
        spellings = {named, f"{named}:latest", f"{named}.gguf"}
        return next((m for m in host.models if m.name in spellings and m.chats), None)
    large = [m for m in host.models if m.parameters >= MIN_PARAMETERS or not m.parameters]
    usable = [m for m in large if m.chats and m.unasked]
    return min(usable, key=lambda m: (not m.loaded, abs(m.parameters - NEAREST_PARAMETERS), m.name), default=None)


def choose_embedder(hosts: Sequence[Host], named: str) -> tuple[Host, Model] | None:
    """The first host that has the named embedding model (`openai/NAME`: of that provider only). Unnamed: the first that
    an Ollama host has. All documents are embedded unasked, so no gateway gets them that nobody named for it."""
    provider, slash, rest = named.partition("/")
    if slash and provider in SERVERS:
        return choose_embedder([host for host in hosts if host.provider == provider], rest)
    for host in hosts:
        for model in host.models:
            if model.embeds and (model.name in (named, f"{named}:latest") if named else host.provider == "ollama"):
                return host, model
    return None


def _without(wanted: str, why: str) -> Choice:
    """`auto` quotes the sources when there is no model; an engine that was named is not replaced."""
    if wanted == "auto":
        return Choice("extractive", "extractive", reason=f"no model: {why}")
    return Choice("none", wanted, reason=why)


def _why_no_model(hosts: Sequence[Host], named: str, *, providers: Sequence[str]) -> str:
    """Of each provider that has hosts, what is wrong with it."""
    reasons = []
    for kind in providers:
        if meant := [host for host in hosts if host.provider == kind]:
            answering = [host for host in meant if host.error is None]
            why = _why_not_ollama if kind == "ollama" else _why_not_openai
            reasons.append(why(answering, named) if answering else meant[0].error or f"{meant[0].url} does not answer")
    setting = {
        "llamacli": "WARREN_LLAMACLI_FOLDER names no folder",
        "anthropic": "WARREN_ANTHROPIC_API_KEY is not set",
    }.get(providers[0])
    return "; ".join(reasons) or setting or f"WARREN_{providers[0].upper()}_URLS names no host"


def _why_not_ollama(answering: Sequence[Host], named: str) -> str:
    url = answering[0].url
    if named:
        held = next((m for host in answering for m in host.models if m.name.split(":")[0] == named.split(":")[0]), None)
        if held and not held.chats:
            return f"{held.name} at {url} only embeds: name a chat model in WARREN_MODEL"
        return f"{url} does not have {named}: `ollama pull {named}`"
    chats = [m for host in answering for m in host.models if m.chats]
    if chats:
        small = ", ".join(sorted({m.name for m in chats}))
        hint = f"or name one: WARREN_MODEL=ollama/{chats[0].name}"
        return f"{url} has only models under 3B ({small}): `ollama pull qwen3:8b`, {hint}"
    return f"{url} has no chat model: `ollama pull qwen3:8b`"


def _why_not_openai(answering: Sequence[Host], named: str) -> str:
    url = answering[0].url
    names = [m.name for host in answering for m in host.models if m.chats]
    has = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    if named:
        return f"{url} does not have {named}: name one that it lists ({has or 'it lists no chat model'})"
    if names:
        named = f"WARREN_MODEL={answering[0].provider}/{names[0]}"
        return f"{url} has {has}, none of which `auto` takes by itself: name one, {named}"
    return f"{url} lists no chat model"


def call_id(call: CallKey) -> str:
    """The ledger's key in one word."""
    parts = [call.goal_id, call.run, call.step, call.epoch, call.purpose, call.ordinal]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]


def request_hash(request: Generate) -> str:
    """What was asked, apart from who, when and how urgently."""
    body = request.model_dump_json(exclude={"call", "priority", "deadline_at", "max_s", "fresh", "stream"})
    return hashlib.sha256(body.encode()).hexdigest()


State = Literal["waiting", "running", "done"]


@dataclass(frozen=True)
class Entry:
    """A row of the ledger without its request and result."""

    id: str
    hash: str
    state: State
    failed: bool = False
    sensitivity: Sensitivity = USUAL


def ledger_says(entry: Entry | None) -> Literal["new", "join", "answer", "again"]:
    """What to do with a request. A failed call cost nothing that is worth keeping: it may be tried again."""
    if entry is None:
        return "new"
    if entry.state != "done":
        return "join"
    return "again" if entry.failed else "answer"


_THINKING = re.compile(r"^.*</think(?:ing)?>\s*", re.DOTALL | re.IGNORECASE)


def without_thinking(text: str) -> str:
    """Without what leaks of a model's reasoning: all up to a stray `</think>`, or all of an open `<think>`."""
    text = _THINKING.sub("", text)
    return text.split("<think>")[0] if text.lstrip().startswith("<think>") else text


def repeats_from(text: str) -> int | None:
    """Where a stream began to go round in circles, or None. A period of up to 300 characters, three times over."""
    for period in range(1, min(300, len(text) // 3) + 1):
        times = max(3, -(-60 // period))
        tail = text[-period:]
        if len(text) >= period * times and tail.strip() and text.endswith(tail * times):
            start = len(text) - period * times
            while start and text[start - 1] == text[start - 1 + period]:
                start -= 1
            return start + period
    lines = [line for line in re.split(r"(?<=[.!?\]])\s+|\n", text) if len(line) > 30]
    if lines and lines.count(lines[-1]) >= 4:
        return text.index(lines[-1]) + len(lines[-1])
    return None


def tokens_guess(text: str) -> int:
    """About how many tokens a text is: three characters each, on the safe side for prose."""
    return len(text) // 3 + 1
