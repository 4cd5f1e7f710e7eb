"""Children as plain processes: started here or adopted by pid and start time, watched by pidfd, one group each.

A child outlives this process: its record in `run/processes.json` lets the next watchdog find it again; one started
between two writes of that file is found in /proc by its environment. Children of an earlier keeper are ended.
Linux only (pidfd, /proc).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from services.watchdog import process_table as table
from services.watchdog.actions import Ending, Exited, Started
from services.watchdog.beat_file import read_beat
from services.watchdog.engine import Adopted, EngineEvent, Whereabouts
from services.watchdog.liveness import Beat
from services.watchdog.questions import Answers, Questions
from services.watchdog.state_file import read_json, write_json
from services.watchdog.tree import Child, replica

LOG_LIMIT_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True)
class Launch:
    """How to start a child. For programs that do not beat, `ready` waits until it is, `questions` asks whether it lives
    from then on. `after`: tidies up."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    ready: Callable[[], Awaitable[None]] | None = None
    after: Callable[[], Awaitable[object]] | None = None
    questions: Questions | None = None


@dataclass
class _Running:
    child: Child
    pid: int
    start: int  # clock ticks since boot: with the pid it names one process for ever
    pidfd: int
    since: float  # wall clock
    beats: bool = True
    after: Callable[[], Awaitable[object]] | None = None
    answers: Answers | None = None  # None: not asked, or not yet
    process: subprocess.Popen[bytes] | None = None  # None: adopted
    why: str | None = None
    stopping: bool = False
    task: asyncio.Task[None] | None = None


@dataclass
class ProcessEngine:
    """`launch` says how a child is started; `keeper` identifies the keeper whose children these are."""

    home: Path
    launch: Callable[[Child], Launch]
    keeper: str
    keeper_fd: int | None = None
    mode: str = "process"
    _running: dict[str, _Running] = field(default_factory=dict)
    _events: asyncio.Queue[EngineEvent] = field(default_factory=asyncio.Queue)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def adopt(self, children: Sequence[Child]) -> Adopted:
        """Takes over what a dead watchdog of the same keeper left running; ends what another keeper left."""
        known = {child.id: child for child in children}
        siblings = {child.service: child for child in children}
        extra: list[Child] = []
        record = read_json(self.home / "run" / "processes.json")
        ours = record.get("children", {}) if record.get("keeper") == self.keeper else {}
        for found in table.scan(self.home):
            child = _child_of(found.instance, known, siblings) if found.keeper == self.keeper else None
            launch = await asyncio.to_thread(self.launch, child) if child else None
            noted = ours.get(found.instance, {})
            same = launch is not None and (_is(found, noted) or found.argv == tuple(launch.argv))
            if child and launch and same and child.id not in self._running:
                with contextlib.suppress(ProcessLookupError):  # ended just now: it died meanwhile
                    running = self._watch(child, (found.pid, found.start), since=found.since)
                    running.beats, running.after = launch.ready is None, launch.after
                    running.task = self._task(self._listen(running, launch.questions))
                    extra += [child] if child.id not in known else []
            else:
                await asyncio.to_thread(table.end_group, found.pid, found.start)
        died = {name: "ended while no watchdog was looking" for name in ours if name not in self._running}
        self._record()
        died = {name: why for name, why in died.items() if _child_of(name, known, siblings)}
        extra += [child for name in died if name not in known and (child := _child_of(name, known, siblings))]
        return Adopted(frozenset(self._running), died, extra=extra)

    async def start(self, child: Child) -> None:
        """Starts the process in a session of its own, its output appended to `logs/<instance>.log`."""
        if child.id in self._running:
            return
        launch = await asyncio.to_thread(self.launch, child)
        self.beat_file(child.id).unlink(missing_ok=True)
        env = {**launch.env, "WARREN_INSTANCE": child.id, "WARREN_SERVICE": child.service,
               "WARREN_HOME": str(self.home), "WARREN_BEAT_FILE": str(self.beat_file(child.id)),
               "WARREN_KEEPER": self.keeper}  # fmt: skip
        if self.keeper_fd is not None:
            env["WARREN_KEEPER_FD"] = str(self.keeper_fd)
        with _log(self.home / "logs" / f"{child.id}.log") as log:
            process = subprocess.Popen(  # noqa: ASYNC220 - our own command line; vfork, a millisecond
                list(launch.argv),
                env=env,
                cwd=launch.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=() if self.keeper_fd is None else (self.keeper_fd,),
            )
        running = self._watch(child, (process.pid, table.start_ticks(process.pid) or 0), since=time.time())
        running.process = process
        running.beats, running.after = launch.ready is None, launch.after
        self._record()
        if launch.ready:
            running.task = self._task(self._announce(running, launch.ready, launch.questions))

    async def stop(self, child_id: str) -> None:
        """SIGTERM to the child itself; what it started is ended with it."""
        if running := self._running.get(child_id):
            running.stopping = True
            _signal(running.pidfd, signal.SIGTERM)

    async def kill(self, child_id: str, *, why: str | None = None) -> None:
        """SIGKILL to its process group."""
        if running := self._running.get(child_id):
            running.why = why
            _kill_group(running)

    async def next_event(self) -> EngineEvent:
        return await self._events.get()

    def beats(self) -> Mapping[str, Beat]:
        """What the children's beat files say now, those of earlier processes left out."""
        found = {
            name: running.answers.last if running.answers else read_beat(self.beat_file(name), pid=running.pid)
            for name, running in self._running.items()
        }
        return {name: beat for name, beat in found.items() if beat is not None}

    def whereabouts(self, child_id: str) -> Whereabouts:
        if running := self._running.get(child_id):
            where = Whereabouts(pid=running.pid, started_at=running.since, beats=running.beats)
            asked = running.answers
            return replace(where, beats=True, asked=True, works=asked.works) if asked else where
        return Whereabouts()

    async def close(self) -> None:
        """Stops watching; the children go on."""
        for running in self._running.values():
            asyncio.get_running_loop().remove_reader(running.pidfd)
            os.close(running.pidfd)
            if running.process:
                running.process.returncode = 0  # not ours to wait for any more
        self._running.clear()
        for task in list(self._tasks):
            task.cancel()

    def beat_file(self, child_id: str) -> Path:
        """Where the child writes its sign of life."""
        return self.home / "run" / f"{child_id}.beat"

    # -- inside

    def _watch(self, child: Child, process: tuple[int, int], *, since: float) -> _Running:
        pid, start = process
        pidfd = os.pidfd_open(pid)
        running = _Running(child, pid, start, pidfd, since)
        self._running[child.id] = running
        asyncio.get_running_loop().add_reader(pidfd, self._gone, running)
        return running

    def _gone(self, running: _Running) -> None:
        asyncio.get_running_loop().remove_reader(running.pidfd)
        _kill_group(running)  # before it is reaped: until then the group cannot be anybody else's
        code = running.process.wait() if running.process else None
        os.close(running.pidfd)
        del self._running[running.child.id]
        if running.task:
            running.task.cancel()
        self._record()
        self._task(self._say_exited(running, code))

    async def _say_exited(self, running: _Running, code: int | None) -> None:
        if running.after:
            with contextlib.suppress(OSError, TimeoutError):
                await running.after()
        self._events.put_nowait(_exited(running, code))

    async def _announce(
        self, running: _Running, ready: Callable[[], Awaitable[None]], questions: Questions | None
    ) -> None:
        try:
            await ready()
        except (TimeoutError, OSError) as error:
            await self.kill(running.child.id, why=f"not ready: {error}")
        else:
            self._events.put_nowait(Started(running.child.id))
            await self._listen(running, questions)

    async def _listen(self, running: _Running, questions: Questions | None) -> None:
        if questions:
            running.answers = Answers(questions)
            await running.answers.listen()

    def _task(self, work: Awaitable[None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _record(self) -> None:
        children = {name: {"pid": r.pid, "start": r.start, "since": r.since} for name, r in self._running.items()}
        write_json(self.home / "run" / "processes.json", {"keeper": self.keeper, "children": children})


def _child_of(name: str, known: Mapping[str, Child], siblings: Mapping[str, Child]) -> Child | None:
    """The child of the tree of this name, or one more replica: a predecessor had scaled out."""
    service, _, number = name.rpartition("-")
    sibling = siblings.get(service)
    more = replica(sibling, int(number)) if sibling and number.isdigit() else None
    return known.get(name) or more


def _is(found: table.Found, noted: Mapping[str, Any]) -> bool:
    return (found.pid, found.start) == (noted.get("pid"), noted.get("start"))


def _exited(running: _Running, code: int | None) -> Exited:
    if code is None:
        reason = "ended (adopted: exit code unknown)"
    elif code < 0:
        reason = f"killed by {signal.Signals(-code).name}"
    else:
        reason = f"exit code {code}"
    ending = Ending.SHUTDOWN if running.stopping else Ending.NORMAL if code == 0 else Ending.ABNORMAL
    return Exited(running.child.id, running.why or reason, ending)


def _signal(pidfd: int, signum: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signum)


def _kill_group(running: _Running) -> None:
    _signal(running.pidfd, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(running.pid, signal.SIGKILL)


def _log(path: Path) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > LOG_LIMIT_BYTES:
            path.replace(path.with_suffix(".log.1"))
    return path.open("ab")
