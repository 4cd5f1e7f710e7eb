"""The watchdog's own life: signals, the keeper's pipe, `mesh.json`, and the AMQP side that may come and go.

SIGINT: shut everything down, in reverse order. SIGTERM: leave, the children go on and a successor adopts them.
SIGHUP: the tree is read again.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from services.watchdog import log_files
from services.watchdog.epoch import BEAT_S, Epoch
from services.watchdog.settings import Settings
from services.watchdog.snapshot import Snapshot
from services.watchdog.state_file import read_json, write_json
from services.watchdog.watch import Watch
from shared.runtime.heartbeat import beat
from shared.runtime.service import Service

GAVE_UP, LEFT, KEEPER_GONE = 70, 143, 1
KEEPER_GONE_GRACE_S = 3.0
AGAIN_S = 5.0
LOGS_S = 30.0
"""Between two looks at the sizes of logs."""
log = structlog.get_logger()


@dataclass
class Mesh:
    """`connect` builds the AMQP side anew for each try; `settings.amqp_url` is where it goes. `over` is told the exit
    code when the end is decided, before what is open is closed."""

    settings: Settings
    watch: Watch
    connect: Callable[[], Service]
    keeper_pid: int | None = None
    epoch: Epoch | None = None
    reload: Callable[[], object] = lambda: None
    snapshot: Snapshot | None = None
    over: Callable[[int], None] = lambda code: None
    _leads: asyncio.Event = field(default_factory=asyncio.Event)
    _lost: asyncio.Event = field(default_factory=asyncio.Event)
    _orders: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    _service: Service | None = None

    async def run(self) -> int:
        """The exit code: 0 all down as ordered, 70 the root gave up, 143 left, 1 the keeper died."""
        self._listen()
        self._write_mesh_file()
        self._begin_to_lead()
        watching = asyncio.create_task(self.watch.run())
        beside = [asyncio.create_task(self._talk()), asyncio.create_task(self._beat())]
        beside += [asyncio.create_task(self._lead()), asyncio.create_task(self._keep_logs_short())]
        if self.snapshot:
            beside.append(asyncio.create_task(self.snapshot.keep(lambda: self._connected)))
        try:
            code = await self._until_over(watching)
            self.over(code)
            return code
        finally:
            await _end([watching, *beside])
            await self._hang_up()
            await self.watch.engine.close()
            if self.epoch:
                self.epoch.resign()

    async def _until_over(self, watching: asyncio.Task[None]) -> int:
        while True:
            ordered = asyncio.create_task(self._orders.get())
            await asyncio.wait({watching, ordered}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                ordered.cancel()
                watching.result()
                self._mesh_file.unlink(missing_ok=True)
                return GAVE_UP if self.watch.supervisor.gave_up else 0
            order = ordered.result()
            if order == "keeper gone":
                log.error("keeper_gone")
                await self.watch.end_now(grace_s=KEEPER_GONE_GRACE_S)
                return KEEPER_GONE
            if order == "leave" or self.watch.engine.mode == "docker":
                self.watch.leave()
                return LEFT if self.watch.engine.mode == "process" else 0
            await self._hang_up()
            self.watch.shut_down()

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._orders.put_nowait, "shut down")
        loop.add_signal_handler(signal.SIGTERM, self._orders.put_nowait, "leave")
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        keeper = self.settings.keeper_fd
        if keeper is not None:

            def gone() -> None:
                loop.remove_reader(keeper)
                self._orders.put_nowait("keeper gone")

            loop.add_reader(keeper, gone)

    def _begin_to_lead(self) -> None:
        """The keeper runs one watchdog at a time; of several containers one leads, the next after its silence."""
        if self.epoch is None:
            self._leads.set()
        elif self.watch.engine.mode == "process":
            self.epoch.take_over()
            self._leads.set()
        elif self.epoch.beat():
            self._leads.set()

    async def _lead(self) -> None:
        """Beats as leader, or waits for the leader's silence. Who leads no longer stops talking."""
        announced = 0
        while self.epoch:
            try:
                leads = self.epoch.beat()
            except OSError as error:  # a full disk: the other watchdog takes over, if there is one
                log.error("epoch_not_written", reason=str(error))
                leads = False
            (self._leads if leads else self._lost).set()
            (self._lost if leads else self._leads).clear()
            announce = getattr(self.watch.engine, "announce", None)
            if leads and announce and announced != self.epoch.number:
                announced = self.epoch.number
                await announce(announced)
            await asyncio.sleep(BEAT_S)

    async def _keep_logs_short(self) -> None:
        while True:
            if shortened := await asyncio.to_thread(log_files.shorten, self.settings.home / "logs"):
                log.info("logs_shortened", files=shortened)
            await asyncio.sleep(LOGS_S)

    async def _talk(self) -> None:
        """The AMQP side of the watchdog that leads: supervision never waits for it."""
        while True:
            await self._leads.wait()
            talking, lost = asyncio.create_task(self._talk_once()), asyncio.create_task(self._lost.wait())
            try:
                await asyncio.wait({talking, lost}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await _end([talking, lost])
            await self._hang_up()
            if self._leads.is_set():
                await asyncio.sleep(AGAIN_S)

    async def _talk_once(self) -> None:
        self._service = self.connect()
        try:
            await self._service.start()
            if self._service.failed:
                await self._service.failed
        except Exception as error:
            log.warning("amqp_side_failed", reason=f"{type(error).__name__}: {error}")

    async def _hang_up(self) -> None:
        service, self._service = self._service, None
        if service:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(service.stop(), KEEPER_GONE_GRACE_S)

    async def _beat(self) -> None:
        def status() -> dict[str, object]:
            return {"ready": True, "reason": "" if self._connected else "the broker is away; supervision goes on"}

        await beat(self.settings.beat_file, status)

    @property
    def _connected(self) -> bool:
        return self._service is not None and self._service.link.connected

    def _write_mesh_file(self) -> None:
        if self.settings.mode == "docker":
            return  # compose knows where things are
        before = read_json(self._mesh_file)
        same = before.get("keeper_pid") == self.keeper_pid
        mesh = {"amqp_url": self.settings.amqp_url, "mode": self.settings.mode, "keeper_pid": self.keeper_pid}
        write_json(self._mesh_file, {**mesh, "started_at": before.get("started_at") if same else time.time()})

    @property
    def _mesh_file(self) -> Path:
        return self.settings.home / "mesh.json"


async def _end(tasks: list[asyncio.Task[Any]]) -> None:
    """Cancels until they are gone: a connection attempt can swallow a cancellation that meets its time-out."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.2)
