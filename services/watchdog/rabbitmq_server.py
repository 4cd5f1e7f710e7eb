"""A private RabbitMQ as a plain process: how it is run, probed and ended. Its files: `rabbitmq_files.py`.

Everything is in `home/broker/` (0700) and listens on 127.0.0.1 only. The watchdog's process engine runs `argv` with
`env` as a child of its own. The process id is the Erlang machine's own from start to end; its helper processes end with
it. SIGTERM ends it cleanly in about a second, SIGKILL costs no confirmed message. Call `after_exit` when it has ended,
however it ended, and `prepare` before it starts again.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.watchdog import amqp_hello, epmd_client, rabbitmq_files, rabbitmq_launch
from services.watchdog.amqp_hello import Answer
from services.watchdog.rabbitmq_files import Ports

# Debian's and Fedora's packages: the script itself. The one they put on PATH changes to the user "rabbitmq" first.
SERVER_SCRIPT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
POLL_S = 0.05
PROBE_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class BrokerSpec:
    """All that it takes to run the broker of one home. `env` is the whole environment, not an addition to one."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    amqp_url: str = field(repr=False)  # holds the password
    node: str
    folder: Path
    ports: Ports

    @property
    def data(self) -> Path:
        """Queues and messages. To delete it is to start afresh."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """The server's log: there from its first start on."""
        return self.folder / "log" / f"{self.node}.log"

    @property
    def pid_file(self) -> Path:
        """Written by the server; stays behind after a SIGKILL."""
        return self.folder / "node.pid"


def find_server() -> Path | None:
    """The server's script on this machine, or None."""
    if os.access(SERVER_SCRIPT, os.X_OK):
        return SERVER_SCRIPT
    found = shutil.which("rabbitmq-server")
    return Path(found) if found else None


def prepare(home: Path) -> BrokerSpec:
    """Writes what the broker of this home needs and says how to run it. May be called as often as one likes, also while
    the broker runs: node, ports and password stay the same (`rabbitmq_files.address` has the one exception). Blocks for
    at most a second. Raises FileNotFoundError where there is no RabbitMQ, OSError where the folder cannot be written.
    """
    server = find_server()
    if server is None:
        raise FileNotFoundError("there is no rabbitmq-server on this machine: run infra/setup --broker")
    folder = home.resolve() / "broker"
    for path in (folder, folder / "log", folder / "conf.d"):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    where, login = rabbitmq_files.address(folder), rabbitmq_files.credentials(folder)
    rabbitmq_files.write(folder, ports=where.ports, login=login)
    return BrokerSpec(
        argv=(sys.executable, "-I", "-S", str(Path(rabbitmq_launch.__file__).resolve()), str(server)),
        env=rabbitmq_files.environment(folder, node=where.node, ports=where.ports),
        amqp_url=f"amqp://{login.user}:{login.password}@127.0.0.1:{where.ports.amqp}",
        node=where.node,
        folder=folder,
        ports=where.ports,
    )


async def wait_ready(spec: BrokerSpec, *, timeout_s: float) -> None:
    """Returns as soon as the broker speaks AMQP. Raises TimeoutError, naming the log, if it does not in time."""
    if not await _until(lambda: _speaks_amqp(spec.ports.amqp), timeout_s=timeout_s):
        where = f"127.0.0.1:{spec.ports.amqp}"
        raise TimeoutError(f"the broker did not answer on {where} within {timeout_s:g} s; its log: {spec.log}")


async def answers(spec: BrokerSpec) -> bool:
    """Whether the broker speaks AMQP, however slowly: a machine at full load is no reason to say no."""
    return await _speaks_amqp(spec.ports.amqp, timeout_s=ANSWER_TIMEOUT_S)


async def stop(spec: BrokerSpec, *, grace_s: float = 5.0) -> None:
    """Ends the broker of this home, whoever started it: SIGTERM, SIGKILL after the grace period, then its port mapper.
    Does nothing if it does not run."""
    pid = running_pid(spec)
    for signum, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)):
        if pid is None or not _is_node(pid, spec.node):
            break
        os.kill(pid, signum)
        # the process itself: its pid file goes at the beginning of a clean end
        await _until(lambda: asyncio.to_thread(lambda: not _is_node(pid, spec.node)), timeout_s=patience_s)
    await after_exit(spec)


async def after_exit(spec: BrokerSpec, *, timeout_s: float = 2.0) -> bool:
    """Ends the port mapper where a dead broker has left it (on Linux the kernel mostly does it first). True if none is
    left; it stays, and False comes back, as long as a node is registered with it. May run twice."""

    def gone() -> bool:
        return epmd_client.end(spec.ports.epmd) and epmd_client.names(spec.ports.epmd) is None

    return await _until(lambda: asyncio.to_thread(gone), timeout_s=timeout_s)


def running_pid(spec: BrokerSpec) -> int | None:
    """The process id of the running broker of this home, or None. A stale pid file does no harm: the process must carry
    the node's name on its command line."""
    try:
        pid = int(spec.pid_file.read_text())
    except (OSError, ValueError):
        return None
    return pid if _is_node(pid, spec.node) else None


def _is_node(pid: int, node: str) -> bool:
    try:
        return node in _command_line(pid)
    except OSError:
        return False  # no such process


def _command_line(pid: int) -> list[str]:
    if sys.platform == "linux":  # ps is no part of a minimal Debian
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    ps = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
    return subprocess.run(ps, capture_output=True, text=True, check=False).stdout.split()


async def _speaks_amqp(port: int, *, timeout_s: float = PROBE_TIMEOUT_S) -> bool:
    return await amqp_hello.ask("127.0.0.1", port, timeout_s=timeout_s) is Answer.ALIVE


async def _until(condition: Callable[[], Awaitable[bool]], *, timeout_s: float) -> bool:
    """Whether it comes true in time; looked at once at least."""
    try:
        async with asyncio.timeout(timeout_s):
            while not await condition():
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        return False
    return True
