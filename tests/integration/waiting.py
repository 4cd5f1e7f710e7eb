"""Waiting for a condition with a deadline, for things that cannot be awaited: other processes and their files."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
LOOK_AGAIN_S = 0.03


def wait_until(condition: Callable[[], T], *, deadline_s: float, what: str) -> T:
    """The first true value of `condition`; fails the test, saying what was waited for, after the deadline."""
    end = time.monotonic() + deadline_s
    pause = threading.Event()
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s:g} s: {what}")
        pause.wait(LOOK_AGAIN_S)
    return value
