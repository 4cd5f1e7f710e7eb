"""The broker's definitions: the committed file is what the code says, and permissions hold what they promise."""

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest

from shared.contracts.catalogue import CONTRACTS
from shared.contracts.message import Command
from shared.messaging import topology
from shared.messaging.definitions import CLIENT, SERVICES, User, committed, definitions, password_hash, users

ROOT = Path(__file__).parents[3]


def test_the_committed_file_is_the_generated_one():
    file = ROOT / "infra/rabbitmq/definitions.json"
    assert file.read_text() == committed(), "run: make docs"


def test_every_exchange_queue_and_binding_of_the_topology_is_there():
    document = definitions({})
    assert [e["name"] for e in document["exchanges"]] == [e.name for e in topology.exchanges()]
    assert [q["name"] for q in document["queues"]] == [q.name for q in topology.queues()]
    assert len(document["bindings"]) == len(list(topology.bindings()))


def test_a_password_hash_is_rabbitmqs():
    raw = base64.b64decode(password_hash("client", "warren"))
    assert raw[4:] == hashlib.sha256(raw[:4] + b"warren").digest()
    assert password_hash("client", "warren") == password_hash("client", "warren")
    assert password_hash("client", "warren") != password_hash("planner", "warren")


def test_only_the_client_can_log_in_with_the_committed_file():
    hashes = {u["name"]: u["password_hash"] for u in json.loads(committed())["users"]}
    assert hashes.pop(CLIENT)
    assert set(hashes) == set(SERVICES)
    assert not any(hashes.values())
    assert "guest" not in hashes


def user(name: str) -> User:
    return next(u for u in users() if u.name == name)


def allows(pattern: str, name: str) -> bool:
    return re.search(pattern, name) is not None


@pytest.mark.parametrize(
    "key",
    [
        "cmd.planner.submit_goal.v1",
        "cmd.planner.submit_goal.v99",
        "cmd.planner.cancel_goal.v1",
        "cmd.planner.retry_goal.v1",
        "cmd.memory.offer_documents.v1",
        "cmd.memory.put_chunk.v1",
        "cmd.planner.list_dead_letters.v1",
        "cmd.planner.retry_dead_letters.v1",
        "cmd.planner.edit_dead_letter.v1",
        "cmd.planner.drop_dead_letters.v1",
        "cmd.watchdog.list_children.v1",
        "cmd.inference.generate.v1",
        "cmd.inference.read_tokens.v1",
        "cmd.inference.keep_turn.v1",
    ],
)
def test_a_client_may_publish(key: str):
    assert allows(user(CLIENT).commands, key)


@pytest.mark.parametrize(
    "key",
    [
        "cmd.researcher.run_step.v1",
        "cmd.writer.run_step.v1",
        "cmd.planner.claim_step.v1",
        "cmd.inference.embed.v1",
        "cmd.watchdog.kill_service.v1",
        "cmd.planner.submit_goal.v1.more",
        "x.cmd.planner.submit_goal.v1",
    ],
)
def test_a_client_may_not_publish(key: str):
    assert not allows(user(CLIENT).commands, key)


def test_a_client_touches_its_own_queues_and_hears_events_and_nothing_else():
    client = user(CLIENT)
    for own in ("client.1f", "amq.gen-abc"):
        assert allows(client.configure, own)
        assert allows(client.read, own)
    assert allows(client.read, "warren.events")
    assert not allows(client.write, "warren.events")
    assert not allows(client.write, "amq.default"), "the default exchange would go around the routing keys"
    for queue in topology.queues():
        assert not allows(client.read, queue.name)
        assert not allows(client.configure, queue.name)
        assert not allows(client.write, queue.name)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_reads_its_own_queues_only(name: str):
    service = user(name)
    for work in topology.WORK_QUEUES:
        for queue in (work.name, work.suspect):
            assert allows(service.read, queue) == (work.owner == name)
    assert allows(service.read, topology.DEAD_LETTERS) == (name == "planner")
    assert allows(service.read, f"{name}.{name}-1.0a0b")
    assert allows(service.events, f"evt.{name}.step_finished.v1.goal")
    assert not allows(service.events, "evt.other.step_finished.v1.goal")


def test_only_the_planner_gives_out_steps():
    keys = {c.key() for c in CONTRACTS.values() if issubclass(c, Command) and c.owner != "any"}
    assert all(allows(user("planner").commands, key) for key in keys)
    for name in set(SERVICES) - {"planner"}:
        assert not allows(user(name).commands, topology.agent_queue("researcher").commands[0])


def test_no_pattern_is_longer_than_a_broker_takes() -> None:
    """RabbitMQ 4.3.6 refused one of 1,300 characters (`pattern_too_long`) and did not start."""
    made = json.loads(committed())
    patterns = [row[kind] for row in (*made["permissions"], *made["topic_permissions"]) for kind in ("write", "read")]
    assert max(map(len, patterns)) <= 900
