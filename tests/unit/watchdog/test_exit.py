"""A watchdog that has decided to end does end, whatever its clean-up waits for."""

import subprocess
import sys

HANGS = (
    "import threading; from services.watchdog.app import exit_within; exit_within(0.1, 70); threading.Event().wait()"
)


def test_a_clean_up_that_hangs_does_not_keep_it() -> None:
    ended = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (70, b"")
