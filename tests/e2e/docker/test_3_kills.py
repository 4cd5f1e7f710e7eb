"""`docker kill` of each part in turn, the watchdog last, under running goals: every goal still ends done."""

import json
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from aio_pika import Message, connect

from tests.e2e.docker.conftest import CORPUS
from tests.e2e.docker.stack import Stack, docker, until

ORDER = 3
GOALS = 6
pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]
QUESTIONS = (
    "What is a dead-letter queue, and how do leases keep two workers apart?",
    "How do RabbitMQ and Kafka differ?",
    "Why does a consumer acknowledge late? What is prefetch for? When is a message redelivered?",
)


@asynccontextmanager
async def publishing(stack: Stack):
    """A plain AMQP client: yields (publish goals, wait for the first step that is given out)."""
    connection = await connect(stack.url)
    async with connection:
        channel = await connection.channel()
        commands = await channel.get_exchange("warren.commands", ensure=False)
        own = await channel.declare_queue("", exclusive=True)
        await own.bind("warren.events", routing_key="evt.planner.goal_event.v1.*")

        async def publish(label: str) -> set[str]:
            goals = {f"{QUESTIONS[n % len(QUESTIONS)]} ({label} {n})" for n in range(GOALS)}
            for goal in sorted(goals):
                body = json.dumps({"goal": goal, "corpus": CORPUS, "engine": "extractive"}).encode()
                message = Message(body, message_id=str(uuid4()), delivery_mode=2)
                await commands.publish(message, routing_key="cmd.planner.submit_goal.v1", mandatory=True)
            return goals

        async def work_has_begun() -> None:
            async with own.iterator(timeout=60) as events:
                async for event in events:
                    if json.loads(event.body)["event"] == "step_dispatched":
                        return

        yield publish, work_has_begun


@pytest.mark.parametrize(
    "service",
    ["researcher", "writer", "memory", "inference", "planner", "postgres", "rabbitmq", "socket-proxy", "watchdog"],
)
async def test_goals_survive_the_death_of(stack: Stack, service: str):
    async with publishing(stack) as (publish, work_has_begun):
        goals = await publish(f"kill {service}")
        await work_has_begun()
        killed = stack.kill(service)
    if service in ("socket-proxy", "watchdog"):
        docker("start", killed[0])  # all of them at once is more than they can heal; one of two is: test_6_faults.py
    ended = stack.all_ended(goals, deadline_s=150)
    assert {text: goal["reason"] for text, goal in ended.items() if goal["status"] != "done"} == {}
    until(
        lambda: len(stack.containers(service)) == len(killed), deadline_s=60, what=f"{len(killed)} {service} run again"
    )
