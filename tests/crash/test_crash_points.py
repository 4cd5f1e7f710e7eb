"""A process killed at each named place: the folder is added, the goal is done, the bad one is parked; each once.

Real processes, a real broker, SIGKILL exactly there. Which places there are is in `shared/crashpoints.py`. A day's run
takes a third of them (its test ids say which), `make soak` takes all.
"""

import asyncio
import json
import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import aio_pika
import pytest

from shared.crashpoints import POINTS
from tests.crash.crashing import HIT, CrashingMesh, sites, todays
from tests.e2e.process.mesh import check
from tests.integration.waiting import wait_until


def test_every_point_is_crashed_at_in_some_service() -> None:
    assert {point for points in HIT.values() for point in points} == set(POINTS)
    assert len(sites()) >= 25


def test_every_site_has_its_day() -> None:
    days = [todays(sites(), day=day, whole=False) for day in range(3)]
    assert sorted(site for day in days for site in day) == sorted(sites())


TODAY = todays(sites(), day=datetime.now(UTC).toordinal(), whole=bool(os.environ.get("WARREN_SOAK")))


@pytest.mark.parametrize("site", TODAY)
def test_killed_at(site: str, mesh: CrashingMesh, tmp_path: Path) -> None:
    (tmp_path / "note.md").write_text(
        f"# Note\n\nThe harbour master of {tmp_path.name} keeps 41 ledgers in the loft.\n"
    )
    parked = mesh.refused_goals()
    mesh.crash_at(site)
    asyncio.run(_publish_nonsense(mesh.warren("url").stdout.strip()))
    question = "How many ledgers does the harbour master keep in the loft?"
    answer = mesh.warren("ask", question, "--corpus", str(tmp_path), "--engine", "scripted", "--json")
    assert answer.returncode == 0, answer.stderr + mesh.logs()
    mesh.await_crash(site)
    goal_id = json.loads(answer.stdout)["goal_id"]
    report = check(mesh.home / "reports" / goal_id)
    assert "41 ledgers" in report["report"]
    told = [e["event"] for e in mesh.json("show", goal_id, "--trace")["events"]]
    assert told.count("goal_completed") == 1
    assert told.count("step_finished") == 2  # the step and the report
    paid = Counter(mesh.calls(goal_id))
    # Only a call that had not yet come into the ledger when inference died may be made again.
    in_flight = 1 if site in ("inference.call_claimed", "inference.call_answered", "inference.before_commit") else 0
    assert sum(paid.values()) - len(paid) <= in_flight, paid
    wait_until(lambda: mesh.refused_goals() == parked + 1, deadline_s=60, what="the bad goal is parked once")


async def _publish_nonsense(url: str) -> None:
    """A goal that is none, from a plain client: its way into the dead letters passes the planner's points, too."""
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange("warren.commands", ensure=False)
        message = aio_pika.Message(b"this is no goal", delivery_mode=2)
        await exchange.publish(message, routing_key="cmd.planner.submit_goal.v1", mandatory=True)
