"""A watchdog that dies after scaling out: its successor adopts the replicas that no tree lists."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from services.watchdog.process_engine import Launch, ProcessEngine
from services.watchdog.process_table import end_group, scan, start_ticks
from services.watchdog.tree import Child
from tests.integration.waiting import wait_until

SLEEPS = (sys.executable, "-c", "import time; time.sleep(60)")
RESEARCHER = Child("researcher-1", "researcher")


def engine(home: Path) -> ProcessEngine:
    return ProcessEngine(home, lambda child: Launch(SLEEPS, dict(os.environ), home), "keeper-1")


async def test_replicas_beyond_the_tree_are_adopted_and_those_that_died_meanwhile_are_known(tmp_path: Path) -> None:
    first, second = engine(tmp_path), engine(tmp_path)
    try:
        await first.adopt([RESEARCHER])
        for number in (1, 2, 3):
            await first.start(Child(f"researcher-{number}", "researcher"))
        # between fork and exec a process does not show its environment
        await asyncio.to_thread(wait_until, lambda: len(scan(tmp_path)) == 3, deadline_s=20, what="three processes")
        before = {found.instance: found.pid for found in scan(tmp_path)}
        await first.close()
        end_group(before["researcher-3"], start_ticks(before["researcher-3"]) or 0)
        adopted = await second.adopt([RESEARCHER])
        assert adopted.running == {"researcher-1", "researcher-2"}
        assert set(adopted.died) == {"researcher-3"}
        assert {child.id for child in adopted.extra} == {"researcher-2", "researcher-3"}
        assert second.whereabouts("researcher-2").pid == before["researcher-2"]
    finally:
        await second.close()
        for found in scan(tmp_path):
            end_group(found.pid, found.start)
