"""A loop with a virtual clock that runs several simulated processes in one thread and can kill any of them.

Within a process callbacks run in order, as in asyncio; which process goes next is drawn from the seed. Killing one
drops its tasks, timers and memory where they stand: nothing of it runs any more.
"""

import asyncio
import contextlib
import heapq
import sys
import types
from asyncio.tasks import _current_tasks  # type: ignore[attr-defined]  # what current_task() reads, without its layers
from bisect import insort
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from itertools import count
from operator import attrgetter
from random import Random
from types import CoroutineType
from typing import Any

PROCESS: ContextVar["Process"] = ContextVar("process")
_numbers = count(1)


class SimTask(asyncio.Task):
    """Its hash is its number, so that a set of tasks has the same order each time."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self._number = next(_numbers)
        super().__init__(*args, **more)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


class SimHandle:
    """A callback to come. asyncio asks no more of what `call_soon` and `call_later` return."""

    __slots__ = ("_when", "args", "callback", "context", "gone")

    def __init__(self, callback: Any, args: tuple[Any, ...], context: Context, when: float = 0.0) -> None:
        self.callback, self.args, self.context, self._when, self.gone = callback, args, context, when, False

    def cancel(self) -> None:
        self.gone, self.callback, self.args = True, None, ()

    def cancelled(self) -> bool:
        return self.gone

    def when(self) -> float:
        return self._when


@dataclass(eq=False, slots=True)
class Process:
    """One life of a process. `frozen_until`: stopped (as by SIGSTOP) until then. `on_kill`: what the world lets go."""

    name: str
    life: int = 1
    number: int = 0
    ready: deque[SimHandle] = field(default_factory=deque)
    tasks: set[SimTask] = field(default_factory=set)
    dead: bool = False
    frozen_until: float = 0.0
    last_task: "SimTask | None" = None
    last_point: str = ""
    on_kill: list[Callable[[], None]] = field(default_factory=list)
    context: Context = field(default_factory=copy_context)

    def __post_init__(self) -> None:
        self.context.run(PROCESS.set, self)

    @property
    def service(self) -> str:
        return self.name.rsplit("-", 1)[0]

    def where(self) -> list[tuple[str, int]]:
        """Where the task that moved last now waits: (function, line) of the product's own code, outermost first."""
        return _frames(self.last_task.get_coro()) if self.last_task else []


def _frames(awaited: Any) -> list[tuple[str, int]]:
    found = []
    while awaited is not None:
        if isinstance(awaited, CoroutineType) and awaited.cr_frame is not None:
            code = awaited.cr_frame.f_code
            if "/services/" in code.co_filename or "/shared/" in code.co_filename:
                found.append((code.co_qualname, awaited.cr_frame.f_lineno))
            awaited = awaited.cr_await
        elif hasattr(awaited, "ag_frame") and awaited.ag_frame is not None:
            awaited = awaited.ag_await
        else:
            awaited = getattr(awaited, "cr_await", None)
    return found


class SimLoop(asyncio.AbstractEventLoop):
    """`on_point(process, label)` is told of each position at which the outside world can see a process."""

    def __init__(self, random: Random) -> None:
        self.random, self.now, self.steps = random, 0.0, 0
        self.processes: list[Process] = []
        self._live: list[Process] = []  # those with something ready, in the order of `processes`
        self._frozen: list[Process] = []
        self._made = count()
        self.outside = self.process("outside")
        self.on_point: Callable[[Process, str], None] = lambda *_: None
        self.thread_s: Callable[[Process], float] = lambda _: 0.0
        self.errors: list[str] = []
        self._timers: list[tuple[float, int, SimHandle, Process]] = []
        self._order = count()

    def process(self, name: str, life: int = 1) -> Process:
        made = Process(name, life, next(self._made))
        self.processes.append(made)
        return made

    # what asyncio asks of a loop
    def time(self) -> float:
        return self.now

    get_debug = staticmethod(bool)  # False; asked for each future and each task

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> SimTask:
        task = SimTask(coro, loop=self, name=name, context=context)
        owner = (context or copy_context()).get(PROCESS, self.outside)
        owner.tasks.add(task)
        task.add_done_callback(owner.tasks.discard, context=owner.context)
        return task

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> SimHandle:
        context = copy_context() if context is None else context
        handle = SimHandle(callback, args, context)
        process = context.get(PROCESS, self.outside)
        if not process.dead:
            self._make_ready(process, handle)
        return handle

    call_soon_threadsafe = call_soon

    def _make_ready(self, process: Process, handle: SimHandle) -> None:
        if not process.ready:
            insort(self._live, process, key=_BY_NUMBER)
        process.ready.append(handle)

    def call_later(self, delay: float, callback: Any, *args: Any, context: Context | None = None) -> Any:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> Any:
        context = copy_context() if context is None else context
        handle = SimHandle(callback, args, context, when)
        process = context.get(PROCESS, self.outside)
        if not process.dead:
            heapq.heappush(self._timers, (when, next(self._order), handle, process))
        return handle

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        """What a thread works out is there after a while; its process can be killed in the meantime."""
        future, process = self.create_future(), PROCESS.get()
        process.last_point, process.last_task = "work_between_calls", asyncio.current_task()
        self.on_point(process, "work_between_calls")
        self.call_later(self.thread_s(process), _worked, future, func, args)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        process = PROCESS.get(self.outside)
        if not process.dead and not str(context.get("message", "")).startswith("Task was destroyed"):
            self.errors.append(f"{process.name}: {context.get('message')}: {context.get('exception')!r}")

    # what the world asks of it
    def outside_later(self, delay: float, callback: Any, *args: Any) -> None:
        self.call_later(delay, callback, *args, context=self.outside.context)

    def spawn(self, process: Process, work: Coroutine[Any, Any, None]) -> SimTask:
        return self.create_task(work, context=process.context)

    def kill(self, process: Process) -> None:
        """SIGKILL: no finally block of it has any effect."""
        process.dead = True
        self.processes.remove(process)
        if process.ready:
            self._live.remove(process)
        process.ready.clear()
        for let_go in process.on_kill:
            let_go()
        hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
        try:
            for task in list(process.tasks):
                task._log_destroy_pending = False
                with contextlib.suppress(BaseException):
                    process.context.run(task.get_coro().close)
            process.tasks.clear()
            process.ready.clear()
            process.last_task = None
        finally:
            sys.unraisablehook = hook

    def freeze(self, process: Process, until: float) -> None:
        """As by SIGSTOP: nothing of it runs before that time."""
        process.frozen_until = until
        self._frozen.append(process)

    def step(self) -> bool:
        """Runs one callback, or lets time pass until there is one. False when nothing will ever happen again."""
        live = self._live
        if self._frozen:
            self._frozen = [p for p in self._frozen if p.frozen_until > self.now and not p.dead]
            live = [p for p in live if p.frozen_until <= self.now]
        if not live:
            return self._pass_time()
        process = live[0] if len(live) == 1 else live[int(self.random.random() * len(live))]
        handle = process.ready.popleft()
        if not process.ready:
            self._live.remove(process)
        if not handle.gone:
            self.steps += 1
            try:
                handle.context.run(handle.callback, *handle.args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                message = f"Exception in callback {handle.callback!r}"
                self.call_exception_handler({"message": message, "exception": error})
        return True

    def pass_time(self, seconds: float) -> None:
        """Even though there is something to run."""
        self.now += seconds
        self._run_timers()

    def _pass_time(self) -> bool:
        moments = [p.frozen_until for p in self._frozen]
        while self._timers and (self._timers[0][2].gone or self._timers[0][3].dead):
            heapq.heappop(self._timers)
        if self._timers:
            moments.append(self._timers[0][0])
        if not moments:
            return False
        self.now = max(self.now, min(moments))
        self._run_timers()
        return True

    def _run_timers(self) -> None:
        while self._timers and self._timers[0][0] <= self.now:
            _, _, handle, process = heapq.heappop(self._timers)
            if not handle.gone and not process.dead:
                self._make_ready(process, handle)


_BY_NUMBER = attrgetter("number")


def _worked(future: "asyncio.Future[Any]", func: Any, args: Any) -> None:
    if future.done():
        return
    try:
        future.set_result(func(*args))
    except Exception as error:
        future.set_exception(error)


@types.coroutine
def _pause() -> Generator[None, None, None]:
    yield


async def point(label: str) -> None:
    """A position that faults can aim at. A process killed here has done what stands before, and nothing after."""
    process = PROCESS.get()
    if process.dead:
        raise GeneratorExit  # only clean-up of a killed process comes here: it has no effect
    loop: Any = asyncio.get_running_loop()
    process.last_point, process.last_task = label, _current_tasks.get(loop)
    loop.on_point(process, label)
    await _pause()
