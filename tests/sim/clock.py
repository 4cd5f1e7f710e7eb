"""Time, ids and logging of the simulated world put in the place of the real ones, in all product modules at once."""

import contextlib
import functools
import logging
import sys
import time as real_time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from types import SimpleNamespace
from typing import Any

import structlog

from tests.sim.loop import SimLoop

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class _Instances(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, datetime)


class _Now:
    loop: SimLoop


class SimDatetime(datetime, metaclass=_Instances):
    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return BEGIN + timedelta(seconds=_Now.loop.now)


def _time() -> float:
    return BEGIN.timestamp() + _Now.loop.now


_TIME = SimpleNamespace(time=_time, monotonic=lambda: _Now.loop.now, perf_counter=lambda: _Now.loop.now)


_REAL = {"datetime": datetime, "time": real_time, "uuid4": uuid.uuid4}


@functools.lru_cache(maxsize=1)
def _places(modules: int) -> list[tuple[Any, str]]:
    """Where the product has the real ones. To be called while nothing is replaced; looked for anew when more modules
    have been imported."""
    return [
        (module, name)
        for key, module in list(sys.modules.items())
        if key.startswith(("services.", "shared.")) and not key.startswith("shared.contracts")
        for name, real in _REAL.items()
        if getattr(module, name, None) is real
    ]


@contextlib.contextmanager
def virtual(loop: SimLoop, random: Random, more: list[tuple[Any, str, Any]]) -> Iterator[None]:
    """`more`: further replacements: (module or class, attribute, value)."""
    _Now.loop = loop
    kept: list[tuple[Any, str, Any]] = []

    def put(module: Any, name: str, value: Any) -> None:
        kept.append((module, name, getattr(module, name)))
        setattr(module, name, value)

    new = {"datetime": SimDatetime, "time": _TIME, "uuid4": lambda: uuid.UUID(int=random.getrandbits(128), version=4)}
    for module, name in _places(len(sys.modules)):
        put(module, name, new[name])
    for module, name, value in more:
        put(module, name, value)
    try:
        yield
    finally:
        for module, name, value in reversed(kept):
            setattr(module, name, value)


def log_to(trace: Any) -> None:
    """The product's log lines become lines of the trace; without one they cost nothing."""
    if trace is None:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        return

    def note(_: Any, level: str, line: dict[str, Any]) -> str:
        trace("log", level, line.pop("event", ""), {k: v for k, v in line.items() if k != "exc_info"})
        raise structlog.DropEvent

    structlog.configure(
        processors=[note],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=False,
    )
