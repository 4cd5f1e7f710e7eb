"""Running many schedules, in as many processes as asked for, and what they showed."""

import functools
import gc
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

from tests.sim.invariants import broken, remember_undisturbed
from tests.sim.schedule import schedule_of
from tests.sim.sites import names_of
from tests.sim.world import World

CHUNK = 25
TIDY = 5
"""After so many schedules their garbage is collected, and never within one: what it does then belongs to no seed."""


@dataclass
class Seen:
    """What a number of schedules showed. `sites`: (service, point, function, line); `orders`: of deliveries."""

    schedules: int = 0
    crashes: int = 0
    sites: Counter[tuple[str, str, str, int]] = field(default_factory=Counter)
    named: Counter[str] = field(default_factory=Counter)
    orders: set[int] = field(default_factory=set)
    failures: dict[int, list[str]] = field(default_factory=dict)

    def add(self, other: "Seen") -> None:
        self.schedules += other.schedules
        self.crashes += other.crashes
        self.sites += other.sites
        self.named += other.named
        self.orders |= other.orders
        self.failures |= other.failures


def run_one(seed: int, seen: Seen) -> None:
    schedule = schedule_of(seed)
    wrong = [f"undisturbed: {line}" for line in remember_undisturbed(schedule)]
    world = World(schedule).run()
    wrong += broken(world)
    seen.schedules += 1
    seen.orders.add(world.order)
    for service, label, frames in world.sites:
        seen.crashes += 1
        seen.sites[(service, label, *(frames[-1] if frames else ("", 0)))] += 1
        seen.named.update(names_of(service, label, frames))
    if wrong:
        seen.failures[seed] = wrong


def run_chunk(seeds: range, until: float) -> Seen:
    seen = Seen()
    gc.disable()
    try:
        for number, seed in enumerate(seeds):
            if time.time() > until:
                break
            if number % TIDY == 0:
                _tidy_up()
            run_one(seed, seen)
    finally:
        gc.enable()
    return seen


def _tidy_up() -> None:
    gc.collect()
    _keep_what_is_there()


@functools.cache
def _keep_what_is_there() -> None:
    """Once: modules, statements and the like are not looked through again."""
    gc.freeze()


def run_all(schedules: int, *, start: int, jobs: int, seconds: float, until_failure: bool = False) -> Seen:
    seen, until = Seen(), time.time() + seconds
    size = 5 if until_failure else CHUNK
    chunks = [range(n, min(n + size, start + schedules)) for n in range(start, start + schedules, size)]
    if jobs == 1:
        for chunk in chunks:
            seen.add(run_chunk(chunk, until))
            if until_failure and seen.failures:
                break
        return seen
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for part in pool.map(run_chunk, chunks, [until] * len(chunks)):
            seen.add(part)
            if until_failure and seen.failures:
                pool.shutdown(wait=False, cancel_futures=True)
                break
    return seen
