"""The scratch service as a process that the test restarts, as a supervisor would."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError


@dataclass
class ScratchProcess:
    """`starts`: how often it was started. Its log is `home/scratch.log`."""

    url: str
    home: Path
    starts: int = 0
    process: subprocess.Popen[bytes] | None = None

    def supervise(self) -> None:
        """Starts it if it does not run."""
        if self.process is not None and self.process.poll() is None:
            return
        self.starts += 1
        environ = {**os.environ, "WARREN_AMQP_URL": self.url, "WARREN_HOME": str(self.home), "WARREN_DECLARE": "no"}
        with (self.home / "scratch.log").open("ab") as out:
            argv = [sys.executable, "-m", "tests.integration.scratch"]
            self.process = subprocess.Popen(argv, env=environ, stdout=out, stderr=out)

    def exit_code(self) -> int | None:
        return self.process.poll() if self.process else None

    def done(self) -> list[str]:
        """Committed effects, read beside the running process."""
        engine = create_engine(f"sqlite:///{self.home}/data/memory.db")
        try:
            with engine.connect() as connection:
                return list(connection.execute(text("SELECT what FROM effects ORDER BY id")).scalars())
        except OperationalError:
            return []  # not there yet
        finally:
            engine.dispose()

    def end(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@contextmanager
def scratch_process(url: str, home: Path) -> Iterator[ScratchProcess]:
    process = ScratchProcess(url, home)
    try:
        yield process
    finally:
        process.end()
