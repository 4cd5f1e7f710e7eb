"""Runs a service as a process: logs, heartbeat, signals, drain. Exit 0 after SIGTERM, 1 on failure, 2 for settings."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import structlog

from shared.crashpoints import arm, misbehave
from shared.errors import ConfigurationError, WarrenError
from shared.runtime import logging
from shared.runtime.heartbeat import beat
from shared.runtime.service import Service
from shared.runtime.settings import MeshSettings

log = structlog.get_logger()
S = TypeVar("S", bound=MeshSettings)
GC_THRESHOLD = (7000, 10, 10)
"""Ten times Python's own for the youngest generation; `services/__init__.py` raises it further for the imports."""


def start(name: str, build: Callable[[S], Service], settings: S) -> None:
    """`run` for a service whose `build` reads tables that may be wrong: that ends it like a wrong setting."""
    instance = settings.instance_of(name)
    logging.configure(service=name, instance=instance, level=settings.log_level, form=settings.log_format)
    try:
        service = build(settings)
    except ConfigurationError as error:
        _cannot_start(error)
    run(service)


def _cannot_start(error: ConfigurationError) -> NoReturn:
    log.error("cannot_start", reason=error.reason, setting=error.field, hint=error.hint)
    sys.exit(2)


def run(service: Service) -> None:
    """Blocks until the service ends; exits the process."""
    gc.freeze()  # what was imported is never garbage
    gc.set_threshold(*GC_THRESHOLD)
    settings = service.settings
    arm(service.name, settings.crash_file)
    misbehave(starting=True)
    logging.configure(
        service=service.name, instance=service.instance, level=settings.log_level, form=settings.log_format
    )
    try:
        asyncio.run(_run(service))
    except ConfigurationError as error:
        _cannot_start(error)
    except WarrenError as error:
        log.error("failed", reason=error.reason, hint=error.hint)
        sys.exit(1)


async def _run(service: Service) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if service.settings.keeper_fd is not None:
        _die_with_keeper(loop, service.settings.keeper_fd)
    beating = asyncio.create_task(beat(service.settings.beat_file, lambda: _status(service)))
    starting = asyncio.create_task(service.start())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            await starting
            service.status["started"] = True
            assert service.failed is not None
            ended: set[asyncio.Future[Any]] = {stopping, service.failed}
            await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await service.stop()
    finally:
        beating.cancel()
        stopping.cancel()
    if service.failed and service.failed.done():
        service.failed.result()


def _status(service: Service) -> dict[str, object]:
    misbehave()
    ready = service.link.connected and bool(service.status.get("started"))
    reason = "" if ready else f"waits for the broker at {service.link.address}"
    stalled = service.hands.look(connected=service.link.connected)
    return {"ready": ready, "reason": reason, "stalled": stalled, **service.status}


def _die_with_keeper(loop: asyncio.AbstractEventLoop, fd: int) -> None:
    """The keeper holds the other end of this pipe and never writes: end of file means that it is gone."""

    def gone() -> None:
        log.error("keeper_gone")
        os._exit(1)

    try:
        os.fstat(fd)
        loop.add_reader(fd, gone)
    except OSError:
        log.warning("no_keeper_pipe", fd=fd)
