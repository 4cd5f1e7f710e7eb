"""What a private RabbitMQ finds in its folder: its address and password, chosen once, and its configuration.

- `ports.json`: the node's name and the three ports
- `credentials.json`: user and password of the clients
- `.erlang.cookie`: whoever has it may run code in the node
- `rabbitmq.conf` and what else the server reads: written anew at every start

All of them 0600.
"""

import json
import os
import secrets
import socket
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from services.watchdog import epmd_client

# Below the ports that Linux (32768-60999) and macOS (49152-65535) hand to outgoing connections: one picked from those
# can be taken by any client while the broker restarts.
PORT_RANGE = range(21000, 32000)

CONFIG = """\
# Written by warren at every start: changes here do not last.
listeners.tcp.1 = 127.0.0.1:{port}
num_acceptors.tcp = 2
default_user = {user}
default_pass = {password}
# a limit, not a reservation: above it publishers are held back; Erlang itself needs about 130 MB
vm_memory_high_watermark.absolute = 512MiB
disk_free_limit.absolute = 64MiB
# the default is a log of 512 MB, which a small mesh would only ever fill
raft.wal_max_size_bytes = 16777216
log.console = false
log.file.level = info
# the watchdog asks every two seconds whether the broker lives, and each question is a connection of its own
log.connection.level = error
log.file.rotation.size = 10485760
log.file.rotation.count = 2
"""

# For every Erlang that the server starts: a short-lived one, which RabbitMQ uses to wake epmd, listens as well.
ERL_FLAGS = "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none"


@dataclass(frozen=True, slots=True)
class Ports:
    """Three TCP ports on 127.0.0.1: for clients, for Erlang's distribution and for its port mapper."""

    amqp: int
    distribution: int
    epmd: int


@dataclass(frozen=True, slots=True)
class Address:
    """Where the broker is: the node's name, `warren-<id>@localhost`, and its ports."""

    node: str
    ports: Ports


@dataclass(frozen=True, slots=True)
class Credentials:
    """What clients log in with."""

    user: str
    password: str


def address(folder: Path) -> Address:
    """The broker's address, chosen at the first call. The node's name never changes, since the data belong to it.
    Ports are chosen anew only if the broker is down and another process has taken one. Blocks for at most a second."""
    path = folder / "ports.json"
    known = read_address(path) or Address(f"warren-{secrets.token_hex(4)}@localhost", _choose_ports())
    if not _usable(known):
        known = Address(known.node, _choose_ports())
    _write_once(path, lambda: json.dumps({"node": known.node, **asdict(known.ports)}), again=True)
    return known


def read_address(path: Path) -> Address | None:
    """None if there is no such file. Raises ValueError if it is damaged: a new node would not see the old data."""
    try:
        found = json.loads(path.read_text())
        return Address(found.pop("node"), Ports(**found))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{path} is damaged: it names the broker's node and ports. Put it back, or delete the folder "
            f"{path.parent} to start with an empty broker"
        ) from error


def credentials(folder: Path) -> Credentials:
    """User and password, made at the first call. RabbitMQ takes them over when its data folder is new."""
    path = folder / "credentials.json"
    _write_once(path, lambda: json.dumps({"user": "warren", "password": secrets.token_hex(24)}))
    return Credentials(**json.loads(path.read_text()))


def write(folder: Path, *, ports: Ports, login: Credentials) -> None:
    """Everything that the server reads beside its data."""
    _write_once(folder / ".erlang.cookie", lambda: secrets.token_hex(24))
    config = CONFIG.format(port=ports.amqp, user=login.user, password=login.password)
    _write_once(folder / "rabbitmq.conf", lambda: config, again=True)
    _write_once(folder / "advanced.config", lambda: "[].\n", again=True)
    _write_once(folder / "enabled_plugins", lambda: "[].\n", again=True)  # none: starts faster, listens less


def environment(folder: Path, *, node: str, ports: Ports) -> dict[str, str]:
    """The server's whole environment. Every file it could look for under /etc or /var is named, so that a system
    broker's settings never leak in; nothing else is inherited, so neither does a RABBITMQ_* of the caller's shell."""
    files = {
        "RABBITMQ_MNESIA_BASE": "data", "RABBITMQ_LOG_BASE": "log", "RABBITMQ_PID_FILE": "node.pid",
        "RABBITMQ_CONFIG_FILE": "rabbitmq.conf", "RABBITMQ_CONFIG_FILES": "conf.d",
        "RABBITMQ_ADVANCED_CONFIG_FILE": "advanced.config", "RABBITMQ_ENABLED_PLUGINS_FILE": "enabled_plugins",
        "RABBITMQ_CONF_ENV_FILE": "none.conf",
    }  # fmt: skip
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": str(folder),
        **{name: str(folder / file) for name, file in files.items()},
        "RABBITMQ_NODENAME": node,
        "RABBITMQ_DIST_PORT": str(ports.distribution),
        "ERL_EPMD_PORT": str(ports.epmd),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_FLAGS": ERL_FLAGS,
        # a mark on the command line, by which the process is known again
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-warren_node {node}",
        # the script becomes the Erlang machine instead of waiting for it, so SIGTERM and SIGKILL reach the right one
        "RUNNING_UNDER_SYSTEMD": "true",
        # tables for a few hundred connections, not for a million: 10 MB less
        "RABBITMQ_MAX_NUMBER_OF_PROCESSES": "65536",
        "RABBITMQ_MAX_NUMBER_OF_ATOMS": "1048576",
        "ERL_MAX_PORTS": "4096",
        "ERL_CRASH_DUMP_SECONDS": "0",  # no dump of 100 MB in whatever folder we run in
    }


def _usable(known: Address) -> bool:
    registered = epmd_client.names(known.ports.epmd)
    if registered is not None and known.node.partition("@")[0] in registered:
        return True  # the broker is up: the ports are taken by itself
    own = [known.ports.amqp, known.ports.distribution]
    return all(map(_is_free, own if registered is not None else [*own, known.ports.epmd]))


def _choose_ports() -> Ports:
    return Ports(*_free_ports(3, candidates=(secrets.choice(PORT_RANGE) for _ in range(1000))))


def _free_ports(count: int, *, candidates: Iterable[int]) -> list[int]:
    found: list[int] = []
    for port in candidates:
        if port not in found and _is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"no {count} free ports on 127.0.0.1 between {PORT_RANGE.start} and {PORT_RANGE.stop}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # closed connections of a dead broker do not count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _write_once(path: Path, make: Callable[[], str], *, again: bool = False) -> None:
    """Private (0600) from its first byte, and whole or not there at all. `again` writes over what is there."""
    if path.exists() and not again:
        return
    new = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(make())
    new.replace(path)
