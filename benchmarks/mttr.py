"""How soon a killed or a hanging service handles messages again.

    benchmarks/mttr [--repeats 20] [--quick] [--mode process|docker] [--json FILE]

The same small agent, struck again and again, its next message published in the same moment. Timed: `detect` (the
supervisor says so; for Docker's policy: Docker says that it died), `up` (its next process runs) and `handled` (the
answer to that message is there). `own` is up to handled: the service's own start, nobody's merit.

process   Warren's watchdog; killed by SIGKILL, hung by SIGSTOP
docker    three containers side by side: Warren's watchdog through its socket proxy; `restart: always`; a poller that
          looks every 5 s and starts what has exited or is unhealthy, in the manner of autoheal (health check each 5 s,
          three times). `docker kill`, SIGKILL from the host, `docker pause`, SIGSTOP. What is not back after 40 s is
          "never" and not tried again.

Exit code 1 when a goal is missed: killed, handled p50 <= 1.0 s beyond the service's own start; hanging, handled p50
<= 4 s; and up within a quarter of the poller's time.
"""

import argparse
import asyncio
import json
import math
import shutil
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

KILLED_UP_S, HUNG_HANDLED_S, SHARE = 1.0, 4.0, 0.25
POLLER, ALWAYS, WARREN = "poller", "always", "warren"
HANGS = ("docker pause", "SIGSTOP")


@dataclass(frozen=True)
class Took:
    """Seconds since the strike. `detect`: None where nobody can tell."""

    up: float
    handled: float
    detect: float | None = None


@dataclass
class Row:
    """One way to die under one supervisor. `never`: it did not come back."""

    mode: str
    kind: str
    by: str
    took: list[Took] = field(default_factory=list)
    never: bool = False

    def figures(self) -> dict[str, object]:
        found: dict[str, object] = {"mode": self.mode, "kind": self.kind, "by": self.by, "repeats": len(self.took)}
        if self.never:
            return found | {"never": True}
        columns = {"detect": [t.detect for t in self.took if t.detect is not None], "up": [t.up for t in self.took],
                   "handled": [t.handled for t in self.took], "own": [t.handled - t.up for t in self.took]}  # fmt: skip
        for name, values in columns.items():
            if values:
                found |= {f"{name}_p50": round(statistics.median(values), 2), f"{name}_p99": round(_p99(values), 2)}
        return found


def _p99(values: list[float]) -> float:
    """With fewer than a hundred the slowest."""
    return sorted(values)[min(len(values) - 1, math.ceil(len(values) * 0.99) - 1)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/mttr", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="two repeats, without what is slow: for a test")
    parser.add_argument("--mode", choices=("process", "docker"), help="both, if a Docker engine answers")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    given = parser.parse_args()
    from mttr_docker import Containers, engine_answers
    from mttr_process import Processes

    repeats = 2 if given.quick else given.repeats
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="warren-mttr-", ignore_cleanup_errors=True) as folder:
        if given.mode != "docker":
            rows += asyncio.run(Processes(Path(folder)).measure(repeats))
        if given.mode != "process" and (given.mode == "docker" or (shutil.which("docker") and engine_answers())):
            rows += asyncio.run(Containers(Path(folder)).measure(repeats, quick=given.quick))
    show(rows)
    if given.json:
        given.json.write_text(json.dumps([row.figures() | {"took": [asdict(t) for t in row.took]} for row in rows]))
    missed = list(misses(rows))
    for miss in missed:
        print(f"missed: {miss}", file=sys.stderr)
    return int(bool(missed))


def show(rows: list[Row]) -> None:
    """The table, seconds: p50 and, in brackets, p99."""
    print(f"{'mode':8} {'kind':13} {'by':7} {'n':>3}  {'detect':>13} {'up':>13} {'handled':>13} {'own start':>13}")
    for row in rows:
        of = row.figures()
        cells = [f"{of[f'{n}_p50']:.2f} ({of[f'{n}_p99']:.2f})" if f"{n}_p50" in of else "never" if row.never else "-"
                 for n in ("detect", "up", "handled", "own")]  # fmt: skip
        print(f"{row.mode:8} {row.kind:13} {row.by:7} {len(row.took):3}  " + " ".join(f"{cell:>13}" for cell in cells))


def misses(rows: list[Row]) -> list[str]:
    """Which goals were missed, in words."""
    found = []
    beyond = {(row.mode, row.kind, row.by): statistics.median(t.up for t in row.took) for row in rows if row.took}
    for row in rows:
        if row.by != WARREN or row.never or not row.took:
            found += [f"{row.mode}, {row.kind}: never back"] if row.by == WARREN else []
            continue
        at, of = f"{row.mode}, {row.kind}", row.figures()
        up, handled = float(str(of["up_p50"])), float(str(of["handled_p50"]))
        if row.kind in HANGS and handled > HUNG_HANDLED_S:
            found.append(f"{at}: handled after {handled} s, goal {HUNG_HANDLED_S} s")
        if row.kind not in HANGS and up > KILLED_UP_S:
            found.append(f"{at}: {up} s beyond its own start, goal {KILLED_UP_S} s")
        poller = beyond.get((row.mode, row.kind, POLLER))
        if poller and beyond[row.mode, row.kind, WARREN] > SHARE * poller:
            found.append(f"{at}: {beyond[row.mode, row.kind, WARREN]:.2f} s, the poller takes {poller:.2f} s")
    return found


if __name__ == "__main__":
    sys.exit(main())
