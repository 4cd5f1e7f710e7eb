"""python -m tests.sim --schedules 10000 [--jobs 2] [--seconds 280] [--start N]: runs schedules, checks the guarantees.
python -m tests.sim --seed N: replays one schedule with its trace.

Exit code 0: all held, no fewer ran than --floor and, from 3,000 on, every named crash point was hit; 1: not so.
"""

import argparse
import os
import sys
import time

from tests.sim.invariants import broken, remember_undisturbed
from tests.sim.run import Seen, run_all
from tests.sim.schedule import schedule_of
from tests.sim.sites import NAMED
from tests.sim.world import World

ENOUGH = 3000
"""So many schedules must have hit every named crash point; fewer (a lane that ran out of time) only say which not."""


def replay(seed: int) -> int:
    schedule = schedule_of(seed)
    print(f"seed {seed}: goals {[g[0] for g in schedule.goals]}, duplicates {schedule.duplicate:.0%}")
    for trouble in (*schedule.crashes, *schedule.troubles):
        print(f"  {trouble}")
    wrong = remember_undisturbed(schedule)
    world = World(schedule, tell=lambda *words: print(*words)).run()
    wrong += broken(world)
    print("\n".join(f"BROKEN: {line}" for line in wrong) or "all guarantees held")
    return bool(wrong)


def report(seen: Seen, *, wanted: int, took_s: float, sites: bool, floor: int = 0) -> int:
    missing = [name for name in NAMED if not seen.named[name]]
    print(
        f"{seen.schedules} of {wanted} schedules in {took_s:.0f} s: {seen.crashes} crashes at {len(seen.sites)} "
        f"distinct sites, {len(seen.orders)} distinct orders of deliveries, "
        f"{len(NAMED) - len(missing)} of {len(NAMED)} named crash points hit, {len(seen.failures)} failures"
    )
    if sites:
        print("\n".join(f"  {seen.named[name]:6d}  {name}" for name in NAMED))
    for seed, wrong in sorted(seen.failures.items())[:10]:
        print(f"FAILED seed {seed}: {'; '.join(wrong)[:600]}\n  replay: python -m tests.sim --seed {seed}")
    if missing:
        print(f"named crash points never hit: {', '.join(missing)}")
    if seen.schedules < floor:
        print(f"fewer than {floor} schedules: that shows too little")
    return bool(seen.failures or (missing and seen.schedules >= ENOUGH) or seen.schedules < floor)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__.splitlines()[0])
    parser.add_argument("--schedules", type=int, default=1000)
    parser.add_argument("--start", type=int, default=1, help="the first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seconds", type=float, default=3600.0, help="stop after this time, and say how many ran")
    parser.add_argument("--floor", type=int, default=0, help="fail if fewer schedules ran")
    parser.add_argument("--sites", action="store_true", help="how often each named crash point was hit")
    parser.add_argument("--seed", type=int, help="replay this schedule with its trace")
    parser.add_argument("--until-failure", action="store_true", help="stop at the first failure")
    given = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets of text must not change between two runs
        os.execve(
            sys.executable, [sys.executable, "-m", "tests.sim", *sys.argv[1:]], os.environ | {"PYTHONHASHSEED": "0"}
        )
    if given.seed is not None:
        return replay(given.seed)
    began = time.time()
    seen = run_all(
        given.schedules,
        start=given.start,
        jobs=given.jobs,
        seconds=given.seconds,
        until_failure=given.until_failure,
    )
    return report(seen, wanted=given.schedules, took_s=time.time() - began, sites=given.sites, floor=given.floor)


if __name__ == "__main__":
    sys.exit(main())
