"""The broker's definitions: the topology, a user per service and one for clients, and what each of them may do.

Pure. `python -m shared.messaging.broker_setup` writes what comes out of here before the broker of `docker-compose.yml`
starts; `infra/rabbitmq/definitions.json` is the same for a broker of your own, with the services' passwords left out
(an empty hash: nobody can log in). RabbitMQ checks three things, each a regular expression: the name of the queue or
exchange (configure, write, read), and on a topic exchange the routing key too.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.contracts.catalogue import CONTRACTS
from shared.contracts.dead_letters import (
    DropDeadLetters,
    EditDeadLetter,
    ListDeadLetters,
    RetryDeadLetters,
    ShowDeadLetter,
)
from shared.contracts.generation import DescribeEngine, Generate
from shared.contracts.goals import CancelGoal, EventsSince, ListGoals, PreviewGoal, ShowGoal, SubmitGoal
from shared.contracts.message import Command
from shared.contracts.models import (
    CopyModel,
    CreateModel,
    ListModels,
    PreloadModel,
    PullModel,
    RemoveModel,
    ShowModel,
    UnloadModel,
)
from shared.contracts.redrive import RetryGoal
from shared.contracts.sessions import DropSession, KeepTurn, ListSessions, OpenSession, ShowSession
from shared.contracts.stream import ReadTokens, WatchTokens
from shared.contracts.supervision import DescribeTree, ListChildren
from shared.contracts.tokens import ShowTokens
from shared.messaging import topology
from shared.messaging.topology import CLIENT as CLIENT

DEFAULT_CLIENT_PASSWORD = "warren"  # noqa: S105  documented: good on 127.0.0.1 only, and refused anywhere else
VHOST = "/"
SERVICES = tuple(name for name in topology.SERVICES if name != "cli")
"""Users of the broker besides `client`, each named like its service."""

_CLIENT_COMMANDS: tuple[type[Command], ...] = (
    SubmitGoal, PreviewGoal, CancelGoal, ListGoals, ShowGoal, EventsSince, ListDeadLetters, ShowDeadLetter,
    RetryDeadLetters, EditDeadLetter, DropDeadLetters, RetryGoal, ListChildren, DescribeTree, DescribeEngine,
    ShowTokens, ListModels, ShowModel, PullModel, PreloadModel, UnloadModel, RemoveModel,
    Generate, ReadTokens, WatchTokens, OpenSession, KeepTurn, ShowSession, ListSessions, DropSession,
    CopyModel, CreateModel,
)  # fmt: skip
_ALL = ".*"
_NONE = "^$"


@dataclass(frozen=True)
class User:
    """A user of the broker. Each field is a regular expression; `commands`, `events`: routing keys it may publish."""

    name: str
    configure: str
    write: str
    read: str
    commands: str
    events: str
    tags: tuple[str, ...] = ()


def users() -> tuple[User, ...]:
    """`client` first, then one per service."""
    return (_client(), *(_service(name) for name in SERVICES))


def definitions(password_hashes: Mapping[str, str]) -> dict[str, Any]:
    """What RabbitMQ imports. A user without a hash can own things but cannot log in."""
    return {
        "vhosts": [{"name": VHOST}],
        "users": [_user(user, password_hashes.get(user.name, "")) for user in users()],
        "permissions": [_permission(user) for user in users()],
        "topic_permissions": [row for user in users() for row in _topic_permissions(user)],
        "exchanges": [_exchange(exchange) for exchange in topology.exchanges()],
        "queues": [_queue(queue) for queue in topology.queues()],
        "bindings": [_binding(binding) for binding in topology.bindings()],
    }


def render(document: Mapping[str, Any]) -> str:
    """The text of the file."""
    return json.dumps(document, indent=2) + "\n"


def client_may_publish(key: str) -> bool:
    """May the user `client` publish a command with this routing key?"""
    return re.search(_client().commands, key) is not None


def committed() -> str:
    """`infra/rabbitmq/definitions.json`: the default password of `client`, and none of a service."""
    return render(definitions({CLIENT: password_hash(CLIENT, DEFAULT_CLIENT_PASSWORD)}))


def password_hash(user: str, password: str) -> str:
    """RabbitMQ's salted SHA-256. The salt follows from the user, so that the same input is the same file."""
    salt = hashlib.sha256(f"warren:{user}".encode()).digest()[:4]
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _client() -> User:
    # server-named queues (amq.gen-...) are what other languages' clients take for replies; they are exclusive
    own = r"(client\.|amq\.gen-).*"
    return User(
        CLIENT,
        configure=f"^{own}$",
        write=rf"^({re.escape(topology.COMMANDS)}|{own})$",
        read=rf"^({re.escape(topology.EVENTS)}|{own})$",
        commands=_one_of(_client_keys()),
        events=_NONE,
        tags=("management",),
    )


def _client_keys() -> list[str]:
    memory = (c for c in CONTRACTS.values() if issubclass(c, Command) and c.owner == "memory")
    return sorted(command.key() for command in (*_CLIENT_COMMANDS, *memory))


def _one_of(keys: Iterable[str]) -> str:
    """These commands, grouped by who owns them: RabbitMQ 4.3 does not start with a pattern of over 1,000 characters. A
    version that nobody knows passes: the planner refuses it with a reason that the sender can read."""
    names: dict[str, list[str]] = {}
    for key in keys:
        _, owner, name, _ = key.split(".")
        names.setdefault(owner, []).append(name)
    owners = "|".join(rf"{owner}\.({'|'.join(sorted(each))})" for owner, each in sorted(names.items()))
    return rf"^cmd\.({owners})\.v[0-9]+$"


def _service(name: str) -> User:
    own = rf"{name}\..*"
    # to count what waits is to declare a queue passively, for which the broker wants the right to configure it
    counts = rf"|({'|'.join(other for other in SERVICES if other != name)})\.v[0-9]+" if name == "watchdog" else ""
    extra = rf"|{re.escape(topology.DEAD_LETTERS)}" if name == "planner" else ""
    return User(
        name,
        configure=rf"^({own}{counts})$" if counts else rf"^{own}$",
        write=rf"^({own}|warren\..*|amq\.default)$",
        read=rf"^({own}|{re.escape(topology.EVENTS)}{extra})$",
        commands=r"^cmd\." if name == "planner" else r"^cmd\.(planner|memory|inference)\.",
        events=rf"^evt\.{name}\.",
    )


def _user(user: User, hashed: str) -> dict[str, Any]:
    return {
        "name": user.name,
        "password_hash": hashed,
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": list(user.tags),
        "limits": {},
    }


def _permission(user: User) -> dict[str, str]:
    return {
        "user": user.name, "vhost": VHOST, "configure": user.configure, "write": user.write, "read": user.read,
    }  # fmt: skip


def _topic_permissions(user: User) -> Iterator[dict[str, str]]:
    for exchange, write in ((topology.COMMANDS, user.commands), (topology.EVENTS, user.events)):
        yield {"user": user.name, "vhost": VHOST, "exchange": exchange, "write": write, "read": _ALL}


def _exchange(exchange: topology.Exchange) -> dict[str, Any]:
    return {
        "name": exchange.name, "vhost": VHOST, "type": exchange.kind, "durable": True, "auto_delete": False,
        "internal": False, "arguments": exchange.arguments,
    }  # fmt: skip


def _queue(queue: topology.Queue) -> dict[str, Any]:
    return {"name": queue.name, "vhost": VHOST, "durable": True, "auto_delete": False, "arguments": queue.arguments}


def _binding(binding: topology.Binding) -> dict[str, Any]:
    return {
        "source": binding.exchange, "vhost": VHOST, "destination": binding.queue, "destination_type": "queue",
        "routing_key": binding.key, "arguments": {},
    }  # fmt: skip
