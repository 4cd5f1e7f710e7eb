"""What Warren weighs: install time and size, packages, start of the mesh, memory while idle.

    benchmarks/footprint [--runs 3] [--installs 1] [--idle 20] [--json FILE]

Installs `requirements.lock` into a fresh environment in a temporary folder, as `infra/setup` does, then starts the mesh
from it `--runs` times, each time with an empty WARREN_HOME, and stops it. Medians are reported, with the machine and
the command line. Memory is PSS (shared pages divided among those who share them) from /proc/<pid>/smaps_rollup after
`--idle` seconds of nothing to do, of the keeper and everything below it; RabbitMQ is counted apart. Linux only. Nothing
of an installed mesh is touched, and all that was started is stopped.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
GOALS = {"install_mb": 200, "packages": 70, "pss_mb": 400}
MB = 1_000_000


def main() -> int:
    """Exit code 1 when a goal is missed."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="warren-footprint-") as folder:
        installs = [install(Path(folder) / f"venv-{n}") for n in range(options.installs)]
        python = Path(folder) / "venv-0" / "bin" / "python"
        starts = [mesh(python, Path(folder) / f"home-{n}", idle_s=options.idle) for n in range(options.runs)]
    result = {**_medians(installs), **_medians(starts), "processes": starts[-1]["processes"]}
    result |= {"machine": _machine(), "command": " ".join(["benchmarks/footprint", *sys.argv[1:]])}
    _print(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return int(any(result[name] > goal for name, goal in GOALS.items()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/footprint", description="What Warren weighs.")
    parser.add_argument("--runs", type=int, default=3, help="starts of the mesh")
    parser.add_argument("--installs", type=int, default=1, help="fresh installations")
    parser.add_argument("--idle", type=float, default=20.0, help="seconds of idling before memory is read")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    return parser.parse_args()


# ---- installing


def install(venv: Path) -> dict[str, Any]:
    """A fresh environment: seconds (with whatever pip has cached), megabytes on disk, packages (pip is one)."""
    began = time.monotonic()
    _run([sys.executable, "-m", "venv", venv])
    python = venv / "bin" / "python"
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    quiet += ["--no-compile", "--require-hashes"]
    _run([python, "-m", "pip", "install", *quiet, "-r", ROOT / "requirements.lock"])
    _run([python, ROOT / "infra" / "bytecode.py"])
    seconds = time.monotonic() - began
    packages = len(list(venv.glob("lib/python*/site-packages/*.dist-info")))
    return {"install_s": seconds, "install_mb": _on_disk(venv) / MB, "packages": packages}


def _on_disk(folder: Path) -> int:
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))


# ---- running


def mesh(python: Path, home: Path, *, idle_s: float) -> dict[str, Any]:
    """One start and one stop: seconds until everything runs, PSS and RSS in megabytes while idle."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("WARREN_")}
    env |= {"WARREN_HOME": str(home), "WARREN_MODE": "process", "PYTHONPATH": str(ROOT)}
    began = time.monotonic()
    with _up(python, env):
        seconds = time.monotonic() - began
        time.sleep(idle_s)  # being idle is what is weighed
        processes = [_weigh(pid) for pid in _below(json.loads((home / "mesh.json").read_text())["keeper_pid"])]
    ours = [p for p in processes if p and not p["broker"]]
    broker = [p for p in processes if p and p["broker"]]
    return {
        "start_s": seconds,
        "pss_mb": sum(p["pss_mb"] for p in ours),
        "rss_mb": sum(p["rss_mb"] for p in ours),
        "broker_pss_mb": sum(p["pss_mb"] for p in broker),
        "processes": [*ours, *broker],
    }


@contextlib.contextmanager
def _up(python: Path, env: dict[str, str]) -> Iterator[None]:
    warren = [python, "-m", "services.cli"]
    try:
        _run([*warren, "up", "--timeout", "180"], env=env)
        yield
    finally:
        _run([*warren, "down"], env=env)


def _below(pid: int) -> list[int]:
    """The process and all that descend from it."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            text = stat.read_text()
            parents[int(stat.parent.name)] = int(text[text.rindex(")") + 2 :].split()[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def _weigh(pid: int) -> dict[str, Any] | None:
    """None when it has ended in the meantime."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return None
    kb = {row.split(":")[0]: int(row.split()[1]) for row in rows}
    module = next((word for word in words if word.startswith("services.")), None)
    is_leash = any(word.endswith("leash.py") for word in words)
    return {
        "name": module or ("services.watchdog.leash" if is_leash else Path(words[0]).name),
        "pss_mb": kb["Pss"] * 1024 / MB,
        "rss_mb": kb["Rss"] * 1024 / MB,
        "broker": module is None and not is_leash,
    }


# ---- saying


def _medians(runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: round(statistics.median(run[name] for run in runs), 1) for name in runs[0] if name != "processes"}


def _machine() -> dict[str, Any]:
    cpu = next((row for row in Path("/proc/cpuinfo").read_text().splitlines() if row.startswith("model name")), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu.partition(":")[2].strip() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory / 1e9, 1),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", platform.system()),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
    }


def _print(result: dict[str, Any]) -> None:
    rows = [
        ("install", f"{result['install_s']:.1f} s", ""),
        ("on disk", f"{result['install_mb']:.0f} MB", f"goal: at most {GOALS['install_mb']}"),
        ("packages", f"{result['packages']:.0f}", f"goal: at most {GOALS['packages']}"),
        ("start of the mesh", f"{result['start_s']:.1f} s", "empty home, private broker included"),
        ("idle, without the broker", f"{result['pss_mb']:.0f} MB PSS", f"goal: at most {GOALS['pss_mb']}"),
        ("", f"{result['rss_mb']:.0f} MB RSS", ""),
        ("idle, the broker", f"{result['broker_pss_mb']:.0f} MB PSS", ""),
    ]
    for name, figure, note in rows:
        print(f"{name:<26}{figure:>14}   {note}")
    for process in result["processes"]:
        print(f"    {process['name']:<26}{process['pss_mb']:>6.0f} MB PSS")
    machine = result["machine"]
    print(f"{machine['cores']} cores of {machine['cpu']}, {machine['memory_gb']} GB, {machine['system']}, ", end="")
    print(f"Python {machine['python']}, load {machine['load']}; {result['command']}")


def _run(command: list[Any], *, env: dict[str, str] | None = None) -> None:
    """Raises CalledProcessError, with what the command said, when it fails."""
    done = subprocess.run(list(map(str, command)), env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        done.check_returncode()


if __name__ == "__main__":
    if sys.platform != "linux" or not shutil.which("rabbitmq-server"):
        sys.exit("this measures on Linux, with a rabbitmq-server of this machine (infra/setup --broker)")
    sys.exit(main())
