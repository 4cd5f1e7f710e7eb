"""What a run is asked to do, from the command line."""

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """`spacing_s`: mean seconds between two kills. `seconds`: the run publishes and kills no longer than this.

    `rate`: goals published a second, unless `open` of them wait for their answer already.
    `calm_s`: how long the mesh may take to end all goals after the last kill.
    `workers`: researchers, and as many writers; with processes only.
    """

    kills: int = 30
    goals: int = 300
    seed: int = 1
    target: str = "process"
    storm: bool = False
    out: Path = Path("build/chaos")
    spacing_s: float = 4.0
    rate: float = 2.0
    open: int = 200
    seconds: float = 6 * 3600.0
    calm_s: float = 600.0
    latency_s: float = 0.3
    workers: int = 1
    keep: bool = False


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Exits with code 2 and the reason when something is wrong."""
    default = Options()
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=_count, default=default.kills, help="kills that must land (%(default)s)")
    parser.add_argument("--goals", type=_count, default=default.goals, help="goals to publish (%(default)s)")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="of all that is random")
    parser.add_argument("--target", choices=("process", "docker"), default=default.target)
    parser.add_argument("--storm", type=_yes, default=False, help="1: beyond the restart budgets")
    parser.add_argument("--out", type=Path, default=default.out, help="folder for what is written (%(default)s)")
    parser.add_argument("--spacing-s", type=float, default=default.spacing_s, help="mean time between two kills")
    parser.add_argument("--rate", type=float, default=default.rate, help="goals a second (%(default)s)")
    parser.add_argument("--open", type=_count, default=default.open, help="goals open at once (%(default)s)")
    parser.add_argument("--seconds", type=float, default=default.seconds, help="publish and kill no longer than this")
    parser.add_argument("--calm-s", type=float, default=default.calm_s, help="wait so long for the last goals")
    parser.add_argument("--latency-s", type=float, default=default.latency_s, help="of a model call (%(default)s)")
    parser.add_argument("--workers", type=_some, default=default.workers, help="researchers, and writers (%(default)s)")
    parser.add_argument("--keep", action="store_true", help="leave the home of the mesh behind")
    given = Options(**vars(parser.parse_args(arguments)))
    if min(given.rate, given.spacing_s, given.seconds, given.calm_s) <= 0:
        parser.error("rates and times must be more than 0")
    return given


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return value


def _some(text: str) -> int:
    if not (value := _count(text)):
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _yes(text: str) -> bool:
    return text.strip().lower() not in ("", "0", "no", "false")
