"""Leaves its terminal, restarts the watchdog, and takes everything with it when it ends: all children inherit the
read end of its pipe (`WARREN_KEEPER_FD`) and end at end-of-file. SIGTERM: an orderly shutdown of everything; the
watchdog gets SIGINT, its word for that, once a second for PATIENCE_S. A watchdog that has beaten and then does not for
SILENT_LOOKS looks, a second each, is killed: looks, not seconds, since a frozen machine does not look. Standard library
only."""

import ctypes
import fcntl
import os
import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FINAL = {0, 70, 78}  # shut down as ordered, gave up, wrong settings: a restart would change nothing
RESTART_S, PATIENCE_S, PR_SET_CHILD_SUBREAPER = 0.5, 40, 36
LOOK_S, SILENT_LOOKS = 1, 8


def main() -> int:
    """Exit code 0 after a shutdown, 70 or 78 from the watchdog, 75 if this home has a keeper already."""
    home = Path(os.environ.get("WARREN_HOME") or ".warren").absolute()
    for folder in (home / "run", home / "logs"):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        fcntl.flock(os.open(home / "run" / "keeper.lock", os.O_RDWR | os.O_CREAT), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.stderr.write(f"{home} already has a keeper\n")
        return 75
    if os.getsid(0) != os.getpid():
        if os.fork():
            os._exit(0)
        os.setsid()
    log = os.open(home / "logs" / "watchdog.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for source, target in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    read_end, _write_end = os.pipe()  # the write end is only here, and dies with us
    os.set_inheritable(read_end, True)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # a dead watchdog's children are ours to reap
    os.chdir(ROOT)
    own = {"WARREN_HOME": str(home), "PYTHONPATH": str(ROOT), "WARREN_KEEPER_FD": str(read_end)}
    own["WARREN_BEAT_FILE"] = str(home / "run" / "watchdog.beat")
    return keep([sys.executable, "-m", "services.watchdog"], {**os.environ, **own})


def keep(argv: list[str], env: dict[str, str]) -> int:
    watchdog, orders = 0, 0
    beat = Path(env["WARREN_BEAT_FILE"])

    def end(*_: object) -> None:  # again every second: a watchdog that has just begun may not hear the first
        nonlocal orders
        orders += 1
        if orders > PATIENCE_S:
            os._exit(1)
        if watchdog:
            os.kill(watchdog, signal.SIGINT)
        signal.alarm(1)

    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN if signum == signal.SIGHUP else end)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # waited for, so that none is missed between two looks
    while not orders:
        beat.unlink(missing_ok=True)
        watchdog = gone = os.posix_spawn(argv[0], argv, env, setsigmask=())
        last, silent = beaten(beat), 0
        while (ended := os.waitpid(-1, os.WNOHANG))[0] != gone:
            if ended[0] == 0 and signal.sigtimedwait({signal.SIGCHLD}, LOOK_S) is None:
                now = beaten(beat)
                last, silent = now, silent + 1 if now == last is not None else 0
                if silent >= SILENT_LOOKS:
                    os.kill(gone, signal.SIGKILL)
        watchdog, code = 0, os.waitstatus_to_exitcode(ended[1])
        if code in FINAL:
            return code
        time.sleep(RESTART_S)
    return 0


def beaten(beat: Path) -> int | None:
    try:
        return beat.stat().st_mtime_ns
    except OSError:
        return None


if __name__ == "__main__":
    sys.exit(main())
