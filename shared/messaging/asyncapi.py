"""The AsyncAPI 3.0 document of the mesh: servers, every routing key and queue, who sends what, and who answers. Pure.

Written from the mesh's side, as AsyncAPI wants it: it receives commands and sends events and replies.
"""

import re
from collections.abc import Iterable
from typing import Any

from shared.contracts.catalogue import CONTRACTS
from shared.contracts.message import Command, Event, Message
from shared.contracts.schemas import answer_to
from shared.contracts.steps import RunStep, step_key
from shared.messaging import envelope, topology
from shared.messaging.definitions import users

_INFO = {
    "title": "Warren",
    "version": "1",
    "description": (
        "An agent mesh on RabbitMQ. A goal is one JSON message to the exchange `warren.commands` with the routing key "
        "`cmd.planner.submit_goal.v1`; see publishing.md. Operations tagged `client` are open to any client, the "
        "others are said between services."
    ),
}
_BINDING = "0.3.0"


def asyncapi() -> dict[str, Any]:
    """The document; payloads are references to `contracts/<type>.json` beside it."""
    return {
        "asyncapi": "3.0.0",
        "info": _INFO,
        "defaultContentType": "application/json",
        "servers": _servers(),
        "channels": {**_command_channels(), **_event_channels(), "replies": _reply_channel(), **_queue_channels()},
        "operations": _operations(),
        "components": {"messages": {name: _message(c) for name, c in CONTRACTS.items()}, "schemas": _headers()},
    }


def _servers() -> dict[str, Any]:
    return {
        "docker": {
            "host": "127.0.0.1:5672",
            "protocol": "amqp",
            "protocolVersion": "0.9.1",
            "description": "The broker of docker-compose.yml. User `client`; `warren url` prints the whole address.",
        },
        "process": {
            "host": "127.0.0.1:{port}",
            "protocol": "amqp",
            "protocolVersion": "0.9.1",
            "description": "The private broker of `warren up`. `warren url` prints the whole address.",
            "variables": {"port": {"description": "chosen once, kept in WARREN_HOME"}},
        },
    }


def _commands() -> Iterable[type[Command]]:
    return (c for c in CONTRACTS.values() if issubclass(c, Command))


def _events() -> Iterable[type[Event]]:
    return (c for c in CONTRACTS.values() if issubclass(c, Event))


def _address(command: type[Command]) -> str:
    return step_key("{agent}") if command is RunStep else command.key()


def _command_channels() -> dict[str, Any]:
    return {
        command.type_name(): {
            "address": _address(command),
            "messages": _reference_to(command),
            **({"parameters": {"agent": {"description": "the agent's name"}}} if command is RunStep else {}),
            "bindings": {"amqp": _routing_key(topology.COMMANDS)},
        }
        for command in _commands()
    }


def _event_channels() -> dict[str, Any]:
    return {
        event.type_name(): {
            "address": f"evt.{{publisher}}.{event.type_name()}.{{subject}}",
            "messages": _reference_to(event),
            "parameters": {
                "publisher": {"description": "the service or agent that says it; bind `*` to hear all"},
                "subject": {"description": "what it is about, most often a goal id; bind `*` to hear all"},
            },
            "bindings": {"amqp": _routing_key(topology.EVENTS)},
        }
        for event in _events()
    }


def _reply_channel() -> dict[str, Any]:
    replies = [c for c in CONTRACTS.values() if not issubclass(c, Command | Event)]
    return {
        "address": None,
        "description": (
            "The queue that the request's `reply_to` names, through the default exchange. The correlation id is the "
            "request's; the header `causation_id` is the request's `message_id`."
        ),
        "messages": {c.type_name(): {"$ref": f"#/components/messages/{c.type_name()}"} for c in replies},
    }


def _queue_channels() -> dict[str, Any]:
    queues = {queue.name: queue for queue in topology.queues()}
    return {
        f"queue:{name}": {
            "address": name,
            "description": _what_waits_in(name),
            "bindings": {
                "amqp": {
                    "is": "queue",
                    "queue": {"name": name, "durable": True, "exclusive": False, "autoDelete": False, "vhost": "/"},
                    "bindingVersion": _BINDING,
                }
            },
            "x-arguments": queue.arguments,
            "x-bindings": [
                {"exchange": b.exchange, "routing_key": b.key} for b in topology.bindings() if b.queue == name
            ],
        }
        for name, queue in queues.items()
    }


def _what_waits_in(queue: str) -> str:
    if queue == topology.DEAD_LETTERS:
        return "Messages that can never succeed, until the planner has parked them."
    if queue.startswith("retry."):
        return "Messages between two attempts."
    if queue.endswith(".suspect"):
        return "Messages that were in the hands of a consumer that died: each is handled alone."
    return f"Work for {queue.removesuffix('.v1')}."


def _routing_key(exchange: str) -> dict[str, Any]:
    found = next(e for e in topology.exchanges() if e.name == exchange)
    about = {"name": found.name, "type": found.kind, "durable": True, "autoDelete": False, "vhost": "/"}
    return {"is": "routingKey", "exchange": about, "bindingVersion": _BINDING}


def _operations() -> dict[str, Any]:
    operations: dict[str, Any] = {command.name: _command(command) for command in _commands()}
    for event in _events():
        operations[event.name] = {
            "action": "send",
            "channel": _channel(event.type_name()),
            "summary": _first_line(event),
            "messages": [_message_in(event.type_name(), event)],
        }
    return operations


def _command(command: type[Command]) -> dict[str, Any]:
    by_client = re.match(users()[0].commands, command.key()) is not None
    answer = answer_to(command)
    operation: dict[str, Any] = {
        "action": "receive",
        "channel": _channel(command.type_name()),
        "summary": _first_line(command),
        "tags": [{"name": "client" if by_client else "mesh"}],
        "messages": [_message_in(command.type_name(), command)],
        "bindings": {"amqp": {"deliveryMode": 2, "mandatory": True, "ack": True, "bindingVersion": _BINDING}},
    }
    if answer:
        answers = [answer] if answer.name == "goal_ended" else [answer, CONTRACTS["refused.v1"]]
        operation["reply"] = {
            "address": {"location": "$message.header#/reply_to", "description": "AMQP's own property `reply_to`"},
            "channel": _channel("replies"),
            "messages": [_message_in("replies", each) for each in answers],
        }
    return operation


def _message(contract: type[Message]) -> dict[str, Any]:
    return {
        "name": contract.type_name(),
        "title": contract.__name__,
        "summary": _first_line(contract),
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/headers"},
        "payload": {"$ref": f"contracts/{contract.type_name()}.json"},
        "bindings": {"amqp": {"messageType": contract.type_name(), "bindingVersion": _BINDING}},
    }


def _headers() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "headers": {
            "type": "object",
            "description": "AMQP headers. A client needs none of them.",
            "properties": {
                envelope.GOAL_ID: {**text, "description": "which goal it belongs to"},
                envelope.CAUSATION_ID: {**text, "description": "message id of what it follows from, or answers"},
                envelope.ATTEMPT: {"type": "integer", "minimum": 1, "description": "counts from 1"},
                envelope.DEADLINE: {"type": "number", "description": "epoch seconds: nobody waits any longer"},
                envelope.TRACEPARENT: {**text, "description": "W3C trace context, passed on"},
            },
        }
    }


def _reference_to(contract: type[Message]) -> dict[str, Any]:
    return {contract.type_name(): {"$ref": f"#/components/messages/{contract.type_name()}"}}


def _channel(name: str) -> dict[str, str]:
    return {"$ref": f"#/channels/{name}"}


def _message_in(channel: str, contract: type[Message]) -> dict[str, str]:
    return {"$ref": f"#/channels/{channel}/messages/{contract.type_name()}"}


def _first_line(contract: type[Message]) -> str:
    return (contract.__doc__ or contract.type_name()).strip().partition("\n")[0]
