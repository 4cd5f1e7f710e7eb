"""Runs a foreign program that does not know about the keeper's pipe, and ends its process group when the pipe does.

`python -I -S leash.py -- argv...`: signals are passed on, the exit code is the program's own (128 + n after a signal).
If this process itself is killed, the kernel kills the program. Standard library only.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> int:
    """Returns the program's exit code, or 137 after the keeper's death."""
    libc = ctypes.CDLL(None)
    program = subprocess.Popen(
        argv[argv.index("--") + 1 :],
        preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0),  # safe: one thread only
    )
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, lambda number, _: program.send_signal(number))
    pidfd = os.pidfd_open(program.pid)
    keeper = int(os.environ.get("WARREN_KEEPER_FD", "-1"))
    watched = [pidfd] if keeper < 0 else [pidfd, keeper]
    readable, _, _ = select.select(watched, [], [])
    if pidfd in readable:
        code = program.wait()
        return code if code >= 0 else 128 - code
    os.killpg(0, signal.SIGKILL)  # the program, what it started, and this process
    return 137


if __name__ == "__main__":
    sys.exit(main(sys.argv))
