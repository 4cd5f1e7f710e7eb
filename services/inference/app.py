"""Where inference's parts meet."""

import os
from datetime import UTC, datetime

import structlog

from services.inference.anthropic_client import AnthropicHost
from services.inference.away import Away
from services.inference.cache import Cache
from services.inference.calls import Calls
from services.inference.embedding import Batchers
from services.inference.engines import Engines
from services.inference.handlers import Inference
from services.inference.llamacli import LlamaCli
from services.inference.models import Models
from services.inference.ollama_client import OllamaHost
from services.inference.openai_client import OpenAIHost
from services.inference.prices import read_prices
from services.inference.recording import Recorder, Replay
from services.inference.scripted import Script
from services.inference.sessions import Sessions
from services.inference.settings import Settings
from services.inference.store import Ledger
from services.inference.tables import MIGRATIONS, TABLES
from services.inference.token_reading import TokenReader
from shared.contracts.generation import DescribeEngine, Embed, Generate
from shared.contracts.models import (
    CopyModel,
    CreateModel,
    ListModels,
    PreloadModel,
    PullModel,
    RemoveModel,
    ShowModel,
    UnloadModel,
)
from shared.contracts.sessions import DropSession, KeepTurn, ListSessions, OpenSession, ShowSession
from shared.contracts.steps import StepsStopped
from shared.contracts.stream import ReadTokens, TokensWanted, WatchTokens
from shared.contracts.supervision import ChildDied
from shared.contracts.tokens import ShowTokens
from shared.messaging.topology import INFERENCE
from shared.runtime.service import Service

log = structlog.get_logger()


def build(settings: Settings) -> Service:
    """An inference service that is ready to run. Connects nothing."""
    service = Service("inference", settings, tables=TABLES, migrations=MIGRATIONS)
    engines = _engines(settings, service)
    calls = Calls(
        database=service.database,
        ledger=(ledger := Ledger()),
        engines=engines,
        publisher=service.publisher,
        owner=service.instance,
        clock=_now,
        lease=settings.lease,
        kept=settings.ledger_kept,
        cache=Cache(settings.cache_kept, settings.cache_entries),
    )
    inference = Inference(service.database, ledger, engines, calls, _now, Batchers(engines.embed))
    service.apply(INFERENCE, Generate, inference.on_generate, once=False)
    service.subscribe(INFERENCE, Embed, inference.on_embed)
    service.subscribe(INFERENCE, DescribeEngine, inference.on_describe_engine)
    service.subscribe(INFERENCE, ShowTokens, inference.on_show_tokens)
    models = Models(engines)
    service.subscribe(INFERENCE, ListModels, models.on_list)
    service.subscribe(INFERENCE, ShowModel, models.on_show)
    service.subscribe(INFERENCE, PullModel, models.on_pull)
    service.subscribe(INFERENCE, PreloadModel, models.on_preload)
    service.subscribe(INFERENCE, UnloadModel, models.on_unload)
    service.subscribe(INFERENCE, RemoveModel, models.on_remove)
    service.subscribe(INFERENCE, CopyModel, models.on_copy)
    service.subscribe(INFERENCE, CreateModel, models.on_create)
    reader = TokenReader(service.database, calls.streams, service.publisher)
    service.subscribe(INFERENCE, WatchTokens, reader.on_watch)
    service.subscribe(INFERENCE, ReadTokens, reader.on_read)
    service.hear(TokensWanted, reader.on_wanted)
    _sessions(service, settings)
    service.hear(StepsStopped, inference.on_steps_stopped)
    service.hear(ChildDied, inference.on_child_died)
    service.background(calls.run)
    service.background(models.run)
    return service


def _sessions(service: Service, settings: Settings) -> None:
    sessions = Sessions(service.database, _now)
    service.apply(INFERENCE, OpenSession, sessions.on_open)
    service.apply(INFERENCE, KeepTurn, sessions.on_keep)
    service.apply(INFERENCE, DropSession, sessions.on_drop)
    service.subscribe(INFERENCE, ShowSession, sessions.on_show)
    service.subscribe(INFERENCE, ListSessions, sessions.on_list)
    service.background(lambda: sessions.forget(settings.sessions_kept))


def _engines(settings: Settings, service: Service) -> Engines:
    first, between = settings.first_token, settings.between_tokens
    usual = settings.openai_key if settings.openai_servers else ""
    rules = settings.rules
    local = rules.is_local
    for server in rules.servers:
        if server.url not in (*settings.openai_servers, *settings.urls):
            log.warning(
                "server_not_used", url=server.url, reason="infra/routing.toml has a key for it, but it is not listed"
            )

    def openai(url: str) -> OpenAIHost:
        key = rules.key_of(url, usual=usual, environ=os.environ)
        return OpenAIHost(url, key, settings.num_ctx, first, between, local(url))

    def ollama(url: str) -> OllamaHost:
        key = rules.key_of(url, usual="", environ=os.environ)
        return OllamaHost(url, settings.num_ctx, first, between, local(url), key)

    paid = settings.anthropic_server
    return Engines(
        ollama=[ollama(url) for url in settings.urls],
        openai=[openai(url) for url in settings.openai_servers],
        programs=[LlamaCli(settings.llamacli, folder, settings.num_ctx, first, between)]
        if (folder := settings.llamacli_folder)
        else [],
        anthropic=[AnthropicHost(paid, key, settings.num_ctx, first, between, local(paid))]
        if (key := settings.anthropic_key)
        else [],
        replay=Replay(settings.replay),
        recorder=Recorder(settings.record) if settings.record else None,
        script=Script(settings.script),
        configured=settings.model,
        routes=rules.routes,
        embed_model=settings.embed_model,
        slots=settings.slots,
        prices=read_prices(settings.prices),
        fresh_s=settings.probe_every.total_seconds(),
        away=Away(settings.host_wait),
        status=service.status,
    )


def _now() -> datetime:
    return datetime.now(UTC)
