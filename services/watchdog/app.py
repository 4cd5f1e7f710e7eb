"""Where the watchdog's parts meet."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from pathlib import Path

import structlog
from pydantic import ValidationError

from services.watchdog import process_table, rabbitmq_server
from services.watchdog.announcements import Announcements
from services.watchdog.audit import Audit
from services.watchdog.autoscaler import Autoscaler, messages_in_hand
from services.watchdog.closer_look import look_for
from services.watchdog.engine import Engine
from services.watchdog.epoch import Epoch
from services.watchdog.handlers import Handlers
from services.watchdog.launches import BROKER, Launches
from services.watchdog.liveness import Liveness
from services.watchdog.mesh import Mesh
from services.watchdog.post_mortem import PostMortem
from services.watchdog.process_engine import ProcessEngine
from services.watchdog.reloading import Reloading
from services.watchdog.settings import ROOT, Settings
from services.watchdog.snapshot import Snapshot
from services.watchdog.supervision import Supervisor
from services.watchdog.tree import Group, without
from services.watchdog.tree_file import TreeError, parse_tree
from services.watchdog.vigil import Vigil
from services.watchdog.watch import Watch
from shared.contracts.supervision import (
    ActionTaken,
    ChildDied,
    DescribeTree,
    KillService,
    ListChildren,
    ReleaseService,
    ReloadTree,
    ScaleService,
    StopService,
)
from shared.errors import ConfigurationError
from shared.messaging.topology import WATCHDOG
from shared.runtime import logging
from shared.runtime.service import Service

WRONG_SETTINGS = 78
EXIT_S = 10.0
"""For closing what is open; the children are gone, or left behind on purpose, before."""
log = structlog.get_logger()


def main() -> int:
    """Runs the watchdog; its exit code (see `mesh.Mesh.run`; 78: a setting or the tree is wrong)."""
    try:
        settings = Settings()
    except ValidationError as error:
        sys.stderr.write(f"wrong settings: {error}\n")
        return WRONG_SETTINGS
    logging.configure(service="watchdog", instance="watchdog-1", level=settings.log_level, form=settings.log_format)
    try:
        return asyncio.run(_run(settings))
    except ConfigurationError as error:
        log.error("cannot_start", reason=error.reason, setting=error.field, hint=error.hint)
        return WRONG_SETTINGS


async def _run(settings: Settings) -> int:
    mesh = build(settings)
    mesh.over = lambda code: exit_within(EXIT_S, code)
    return await mesh.run()


def exit_within(seconds: float, code: int) -> None:
    """Ends this process with this code at last, however long its clean-up takes: a connection attempt can swallow every
    cancellation, and a watchdog whose keeper is gone would sleep for ever."""
    timer = threading.Timer(seconds, os._exit, (code,))
    timer.daemon = True
    timer.start()


def build(settings: Settings) -> Mesh:
    """Reads the tree and prepares the private broker. Raises ConfigurationError."""
    settings = settings.model_copy(update={"home": settings.home.absolute(), "instance": "watchdog-1"})
    foreign_broker = "amqp_url" in settings.model_fields_set
    tree = _tree(settings)
    epoch = Epoch(settings.home / "run" / "leaders")
    if settings.mode == "docker":
        engine, keeper, keeper_pid = _docker_engine(settings, epoch), "docker", None
    else:
        settings, tree, launches = _with_broker(settings, tree)
        keeper_pid = os.getppid()
        keeper = process_table.identity(keeper_pid)
        engine = ProcessEngine(settings.home, launches, keeper, settings.keeper_fd)
    post_mortem = PostMortem(engine, settings.home, settings.beats)
    announcements = Announcements(engine.whereabouts, post_mortem, lambda: epoch.number > 0)
    liveness = Liveness(silence_s=settings.silence.total_seconds())
    audit = Audit(settings.home / "logs" / "audit.log", announcements.tell, lambda: epoch.number)
    vigil = Vigil(engine, liveness, look_for(engine), settings.beats)
    watch = Watch(
        Supervisor(tree), engine, settings.home, keeper, vigil, announcements.hear, audit=audit,
        leads=lambda: epoch.holds() is not None, on_look=post_mortem.note_memory,
    )  # fmt: skip
    autoscaler = Autoscaler(watch, messages_in_hand(engine, settings.home, settings.beats))
    reloading = Reloading(watch, lambda: _tree_again(settings, without_broker=foreign_broker))

    def connect() -> Service:
        service = _service(settings, watch, announcements, autoscaler)
        service.subscribe(WATCHDOG, DescribeTree, reloading.on_describe_tree)
        service.subscribe(WATCHDOG, ReloadTree, reloading.on_reload_tree)
        return service

    snapshot = Snapshot(settings.home / "run" / "tree.json", reloading.described, watch.leads)
    return Mesh(settings, watch, connect, keeper_pid, epoch, reloading.reload, snapshot)


def _service(settings: Settings, watch: Watch, announcements: Announcements, autoscaler: Autoscaler) -> Service:
    service = Service("watchdog", settings)
    handlers = Handlers(watch, autoscaler.ordered)
    service.subscribe(WATCHDOG, ListChildren, handlers.on_list_children)
    service.subscribe(WATCHDOG, StopService, handlers.on_stop_service)
    service.subscribe(WATCHDOG, ReleaseService, handlers.on_release_service)
    service.subscribe(WATCHDOG, KillService, handlers.on_kill_service)
    service.subscribe(WATCHDOG, ScaleService, handlers.on_scale_service)

    async def publish(event: ChildDied | ActionTaken) -> None:
        await service.publisher.publish(event, subject=event.instance if isinstance(event, ChildDied) else event.child)

    service.background(lambda: announcements.run(publish))
    service.background(lambda: autoscaler.run(service.link.waiting))
    return service


def _tree(settings: Settings) -> Group:
    path = Path(settings.tree)
    try:
        return parse_tree(path.read_text(encoding="utf-8"), source=str(path), mode=settings.mode)
    except (OSError, TreeError) as error:
        raise ConfigurationError(str(error), field="WARREN_TREE") from error


def _tree_again(settings: Settings, *, without_broker: bool) -> Group:
    tree = _tree(settings)
    return without(tree, BROKER) if settings.mode == "process" and without_broker else tree


def _with_broker(settings: Settings, tree: Group) -> tuple[Settings, Group, Launches]:
    """Without an address of a broker, the private one of this home is the first child."""
    if "amqp_url" in settings.model_fields_set:
        return settings, without(tree, BROKER), Launches(ROOT, settings.amqp_url)
    try:
        broker = rabbitmq_server.prepare(settings.home)
    except OSError as error:
        hint = "install rabbitmq-server, or set WARREN_AMQP_URL to a broker that runs"
        raise ConfigurationError(f"no broker: {error}", field="WARREN_AMQP_URL", hint=hint) from error
    settings = settings.model_copy(update={"amqp_url": broker.amqp_url})
    return settings, tree, Launches(ROOT, broker.amqp_url, broker)


def _docker_engine(settings: Settings, epoch: Epoch) -> Engine:
    from services.watchdog.docker_engine import DockerEngine  # late: an extra that process mode does without

    return DockerEngine(settings.docker_host, settings.compose_project, epoch=epoch.holds)
