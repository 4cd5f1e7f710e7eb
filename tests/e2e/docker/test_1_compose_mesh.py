"""The mesh in containers answers goals like the one in processes, and opens nothing to other machines."""

import json
import subprocess
from pathlib import Path

import pytest
from aio_pika import Message, connect
from aiormq.exceptions import ChannelAccessRefused

from tests.e2e import folder
from tests.e2e.docker.conftest import CORPUS
from tests.e2e.docker.stack import ROOT, SERVICES, Stack, citations_that_fail, docker, free_port

ORDER = 1
pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]


def test_a_goal_gives_a_report_in_which_every_citation_holds(stack: Stack):
    report = stack.json(
        "ask", "How do quorum queues and classic queues differ, and when should a message be retried?",
        "--corpus", CORPUS, "--engine", "extractive", timeout_s=180,
    )  # fmt: skip
    assert report["status"] == "done"
    assert report["citations"]
    bundle = stack.bundle(report["goal_id"])
    assert citations_that_fail(bundle) == []
    assert stack.warren("verify", str(bundle)).returncode == 0


def test_researchers_are_three_and_each_is_seen_by_ps(stack: Stack):
    assert len(stack.containers("researcher")) == 3
    children = stack.json("ps")
    running = [child for child in children if child["state"] == "running"]
    assert len([child for child in running if child["service"] == "researcher"]) == 3
    assert {child["service"] for child in running} >= set(SERVICES) - {"watchdog"}
    assert all(child["container"] for child in running if child["service"] != "watchdog")


def test_a_folder_of_a_thousand_files_answers_with_verified_citations(stack: Stack, tmp_path: Path):
    folder.make(tmp_path, files=1000, seed=11)
    asked = ("ask", folder.QUESTION, "--corpus", str(tmp_path), "--engine", "extractive")
    report = stack.json(*asked, timeout_s=400)
    assert "47 metres" in report["report"]
    assert citations_that_fail(stack.bundle(report["goal_id"])) == []


async def test_any_amqp_client_can_publish_a_goal_and_gets_one_answer(stack: Stack):
    connection = await connect(stack.url)
    async with connection:
        channel = await connection.channel()
        answers = await channel.declare_queue("", exclusive=True)
        commands = await channel.get_exchange("warren.commands", ensure=False)
        body = json.dumps({"goal": "What is a dead-letter queue?", "corpus": CORPUS, "engine": "extractive"})
        message = Message(
            body.encode(), message_id="m-1", correlation_id="mine", reply_to=answers.name, delivery_mode=2
        )
        await commands.publish(message, routing_key="cmd.planner.submit_goal.v1", mandatory=True)
        async with answers.iterator(timeout=120) as arriving:
            answer = await anext(arriving)
    told = json.loads(answer.body)
    assert told["status"] == "done"
    assert told["citations"]
    assert answer.correlation_id == "mine"


@pytest.mark.parametrize(
    "key", ["cmd.researcher.run_step.v1", "cmd.planner.claim_step.v1", "cmd.watchdog.kill_service.v1"]
)
async def test_a_client_may_not_play_a_service(stack: Stack, key: str):
    connection = await connect(stack.url)
    async with connection:
        channel = await connection.channel()
        commands = await channel.get_exchange("warren.commands", ensure=False)
        with pytest.raises(ChannelAccessRefused):
            await commands.publish(Message(b"{}"), routing_key=key)


@pytest.mark.parametrize("queue", ["planner.v1", "researcher.v1", "dead-letters.v1"])
async def test_a_client_may_not_take_from_a_services_queue(stack: Stack, queue: str):
    connection = await connect(stack.url)
    async with connection:
        channel = await connection.channel()
        taken = await channel.get_queue(queue, ensure=False)
        with pytest.raises(ChannelAccessRefused):
            await taken.get()


def test_nothing_is_published_beyond_this_machine(stack: Stack):
    ids = stack.compose("ps", "--quiet").stdout.split()
    bound = []
    for container in json.loads(docker("inspect", *ids)):
        for ports in (container["NetworkSettings"]["Ports"] or {}).values():
            bound += [(container["Name"], port["HostIp"]) for port in ports or []]
    assert bound
    assert [entry for entry in bound if entry[1] != "127.0.0.1"] == []


def test_containers_run_without_root_capabilities_or_a_writable_root(stack: Stack):
    for service in (*SERVICES, "socket-proxy", "rabbitmq", "postgres"):
        (inspected,) = json.loads(docker("inspect", stack.containers(service)[0]))
        host = inspected["HostConfig"]
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert host["Memory"] > 0, service
        assert any(option.startswith("no-new-privileges") for option in host["SecurityOpt"]), service
        assert inspected["Config"]["User"] not in ("", "0", "root") or service == "socket-proxy", service
        sees_socket = any(mount["Source"].endswith("docker.sock") for mount in inspected["Mounts"])
        assert sees_socket == (service == "socket-proxy"), service
        assert host["RestartPolicy"]["Name"] == ("no" if service in SERVICES[:-1] else "unless-stopped"), service


@pytest.mark.parametrize("bind", ["0.0.0.0"])
def test_an_open_port_with_the_default_password_is_refused(image: str, tmp_path, bind: str):
    other = Stack(project=f"warren-open-{free_port()}", home=tmp_path, more={"WARREN_BIND": bind})
    try:
        started = other.compose("up", "-d", "--wait", "rabbitmq", check=False)
        assert started.returncode != 0
        assert "start refused" in other.compose("logs", "broker-setup").stdout
        assert "WARREN_CLIENT_PASSWORD" in other.compose("logs", "broker-setup").stdout
        assert not other.containers("rabbitmq")
    finally:
        other.down()


def test_compose_needs_no_env_file_and_its_files_are_valid(image: str, tmp_path):
    plain = Stack(project="warren-config", home=tmp_path)
    plain.compose("config", "--quiet")
    gpu = ["docker", "compose", "-f", "docker-compose.yml", "-f", "infra/compose.gpu.yml", "config", "--quiet"]
    assert subprocess.run(gpu, cwd=ROOT, timeout=60, check=False).returncode == 0
