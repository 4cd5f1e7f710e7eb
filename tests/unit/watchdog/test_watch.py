"""The watch and what people may ask of it, on an engine in memory."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from services.watchdog.actions import Ending, Exited, Report
from services.watchdog.announcements import Announcements
from services.watchdog.engine import Adopted, Whereabouts
from services.watchdog.handlers import Handlers
from services.watchdog.liveness import Hung, Watched
from services.watchdog.supervision import Status, Supervisor
from services.watchdog.tree import Child, Group, OnExhausted
from services.watchdog.watch import SAME_BREATH_S, Watch
from shared.contracts.message import Done, Refused
from shared.contracts.supervision import (
    ChildDied,
    KillService,
    ListChildren,
    ReleaseService,
    ScaleService,
    StopService,
)
from shared.messaging.envelope import Envelope
from shared.runtime.settings import MeshSettings
from tests.unit.watchdog.memory_engine import MemoryEngine

ENVELOPE = Envelope(queue="watchdog.v1", message_id="1", type="", routing_key="")


def tree() -> Group:
    researchers = (Child("researcher-1", "researcher"), Child("researcher-2", "researcher"))

    def own(name: str, *children: Child) -> Group:
        return Group(name, children, max_restarts=5, period_s=60, on_exhausted=OnExhausted.QUARANTINE)

    return Group("root", (own("memory", Child("memory-1", "memory")), own("researcher", *researchers)))


class Room:
    """A running watch, and a way to wait for what it says."""

    def __init__(self, home: Path, engine: MemoryEngine, keeper: str = "keeper-1") -> None:
        self.engine, self.announcements = engine, Announcements(engine.whereabouts)
        self.watch = Watch(Supervisor(tree()), engine, home, keeper, on_report=self.hear)
        self.handlers = Handlers(self.watch)
        self.task = asyncio.create_task(self.watch.run())

    def hear(self, report: Report, status: Status | None) -> None:
        self.announcements.hear(report, status)

    def states(self) -> dict[str, str]:
        return {row["instance"]: row["state"] for row in self.watch.rows() if row["service"] != "watchdog"}

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.to_thread(lambda: None)  # lets the loop turn: the engine is in memory
                assert not self.task.done() or self.watch.down.is_set(), self.task.result()

    async def up(self) -> Room:
        await self.until(lambda: set(self.states().values()) == {"running"})
        self.engine.calls.clear()
        return self

    async def close(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    room = Room(tmp_path, MemoryEngine())
    yield await room.up()
    await room.close()


async def test_stop_holds_and_release_starts_again(room: Room):
    assert await room.handlers.on_stop_service(StopService(service="researcher"), ENVELOPE) == Done(count=2)
    await room.until(lambda: not {"researcher-1", "researcher-2"} & set(room.engine.running))
    assert room.states() == {"memory-1": "running", "researcher-1": "held", "researcher-2": "held"}
    assert await room.handlers.on_release_service(ReleaseService(service="researcher"), ENVELOPE) == Done(count=2)
    await room.until(lambda: set(room.states().values()) == {"running"})


async def test_kill_takes_the_oldest_and_it_is_restarted_and_announced(room: Room):
    before = dict(room.engine.running)
    assert await room.handlers.on_kill_service(KillService(service="researcher"), ENVELOPE) == Done(count=1)
    await room.until(lambda: room.engine.calls == ["kill researcher-1", "start researcher-1"])
    await room.until(lambda: room.states()["researcher-1"] == "running")
    assert room.engine.running["researcher-2"] == before["researcher-2"]
    event = await announced(room.announcements)
    assert (event.service, event.instance, event.reason) == ("researcher", "researcher-1", "killed by SIGKILL")
    assert event.worker == "researcher-1"


async def test_who_did_what_and_why_is_written_down(room: Room, tmp_path: Path):
    await room.handlers.on_kill_service(KillService(service="researcher"), ENVELOPE)
    await room.until(lambda: room.engine.calls == ["kill researcher-1", "start researcher-1"])
    lines = [json.loads(line) for line in (tmp_path / "logs" / "audit.log").read_text().splitlines()]
    assert [(line["action"], line["child"], line["reason"]) for line in lines][-2:] == [
        ("kill", "researcher-1", "asked for by a person"),
        ("start", "researcher-1", "child_terminated: killed by SIGKILL"),
    ]


async def announced(announcements: Announcements) -> ChildDied:
    published: asyncio.Queue[ChildDied] = asyncio.Queue()
    announcing = asyncio.create_task(announcements.run(published.put))
    event = await asyncio.wait_for(published.get(), 5)
    announcing.cancel()
    return event


async def test_a_dead_container_is_announced_under_the_name_that_its_process_took(monkeypatch: pytest.MonkeyPatch):
    announcements = Announcements(lambda child: Whereabouts(container="0123456789ab"))
    status = Status(Child("researcher-2", "researcher"), "starting", 1, 4, "", "researcher")
    announcements.hear(Report("child_terminated", "researcher-2", "exit code 137"), status)
    event = await announced(announcements)
    assert (event.instance, event.worker) == ("researcher-2", "researcher-0123456789ab")
    monkeypatch.setattr("socket.gethostname", lambda: "0123456789ab")
    monkeypatch.delenv("WARREN_INSTANCE", raising=False)
    assert MeshSettings().instance_of("researcher").startswith(f"{event.worker}-")


async def test_scale_adds_the_lowest_free_number_and_takes_the_last(room: Room):
    await room.handlers.on_scale_service(ScaleService(service="researcher", replicas=4), ENVELOPE)
    await room.until(lambda: list(room.states().values()).count("running") == 5)
    assert list(room.engine.running) == ["memory-1", "researcher-1", "researcher-2", "researcher-3", "researcher-4"]
    await room.handlers.on_scale_service(ScaleService(service="researcher", replicas=1), ENVELOPE)
    await room.until(lambda: list(room.states()) == ["memory-1", "researcher-1"])
    assert list(room.engine.running) == ["memory-1", "researcher-1"]


async def test_an_unknown_service_is_refused_by_name(room: Room):
    answer = await room.handlers.on_stop_service(StopService(service="printer"), ENVELOPE)
    assert isinstance(answer, Refused)
    assert (answer.error, answer.field) == ("not_found", "service")
    assert "memory" in str(answer.hint)


async def test_the_children_are_listed_and_written_down(room: Room, tmp_path: Path):
    listed = await room.handlers.on_list_children(ListChildren(), ENVELOPE)
    assert [child.instance for child in listed.children][-1] == "watchdog-1"
    rows = json.loads((tmp_path / "run" / "children.json").read_text())
    assert [row["state"] for row in rows] == ["running"] * 4
    assert {"service", "instance", "pid", "state", "restarts", "uptime_s"} <= set(rows[0])


async def test_the_watchdog_lists_itself_by_its_pid_or_its_container(room: Room, monkeypatch: pytest.MonkeyPatch):
    assert room.watch.rows()[-1]["pid"] == os.getpid()
    monkeypatch.setattr("socket.gethostname", lambda: "0123456789ab")
    room.engine.mode = "docker"
    row = room.watch.rows()[-1]
    assert (row["instance"], row["container"], "pid" in row) == ("watchdog-1", "0123456789ab", False)


async def test_a_program_that_cannot_be_started_is_quarantined(tmp_path: Path):
    room = Room(tmp_path, MemoryEngine(broken={"memory-1"}))
    await room.until(lambda: room.states()["memory-1"] == "quarantined")
    await room.until(lambda: room.states()["researcher-2"] == "running")
    assert room.engine.calls.count("start memory-1") == 6
    await room.close()


async def test_everything_goes_down_in_reverse_when_ordered(room: Room):
    room.watch.shut_down()
    await asyncio.wait_for(room.task, 5)
    assert room.engine.calls == ["stop researcher-2", "stop researcher-1", "stop memory-1"]


async def test_a_successor_keeps_holds_and_restarts_what_died_meanwhile(room: Room, tmp_path: Path):
    room.watch.hold("memory")
    await room.until(lambda: "memory-1" not in room.engine.running)
    await room.close()
    adopted = Adopted(frozenset({"researcher-1"}), died={"researcher-2": "ended while no watchdog was looking"})
    successor = Room(tmp_path, MemoryEngine(adopted=adopted))
    await successor.until(lambda: "researcher-2" in successor.engine.running)
    assert successor.engine.calls == ["start researcher-2"]
    assert successor.states()["memory-1"] == "held"
    assert successor.watch.restarts == 1
    await successor.close()


async def test_a_new_keeper_forgets_what_was_held(room: Room, tmp_path: Path):
    room.watch.hold("memory")
    await room.until(lambda: "memory-1" not in room.engine.running)
    await room.close()
    successor = Room(tmp_path, MemoryEngine(), keeper="keeper-2")
    await successor.up()
    await successor.close()


async def test_a_stop_seen_just_before_the_watchdog_leaves_was_the_machine_going_down(tmp_path: Path):
    room = await Room(tmp_path, MemoryEngine(mode="docker"), keeper="docker").up()
    room.watch.hold("memory")
    room.engine.running.pop("researcher-1")
    room.engine.say(Exited("researcher-1", "stopped by you", Ending.SHUTDOWN, by_person=True))
    await room.until(lambda: room.states()["researcher-1"] == "held")
    room.watch.leave()
    await room.close()
    successor = Room(tmp_path, MemoryEngine(mode="docker"), keeper="docker")
    expected = {"memory-1": "held", "researcher-1": "running", "researcher-2": "running"}
    await successor.until(lambda: successor.states() == expected)
    await successor.close()


async def test_a_watchdog_that_does_not_lead_restarts_what_crashed_but_ends_nothing(tmp_path: Path):
    leads = True
    room = Room(tmp_path, MemoryEngine())
    room.watch.leads = lambda: leads
    await room.up()
    leads = False
    room.engine.ended("researcher-1", "exit code 1")
    await room.until(lambda: room.engine.calls == ["start researcher-1"])
    room.watch.hold("memory")
    await room.until(lambda: room.states()["memory-1"] == "held")
    await room.until(lambda: all(chain.done() for chain in room.watch._chains.values()))
    assert room.engine.calls == ["start researcher-1"]
    assert "memory-1" in room.engine.running
    await room.close()


async def test_old_hearsay_is_not_announced_by_a_new_leader(monkeypatch: pytest.MonkeyPatch):
    leads, now = False, 1000.0
    monkeypatch.setattr("services.watchdog.announcements.time.time", lambda: now)
    announcements = Announcements(lambda child: Whereabouts(), leads=lambda: leads)
    status = Status(Child("researcher-1", "researcher"), "starting", 1, 4, "", "researcher")
    announcements.hear(Report("child_terminated", "researcher-1", "the leader told this long ago"), status)
    now += 60
    announcements.hear(Report("child_terminated", "researcher-1", "the leader had died by then"), status)
    leads = True
    assert (await announced(announcements)).reason == "the leader had died by then"


@pytest.mark.parametrize(("later_s", "wanted"), [(1.0, True), (SAME_BREATH_S + 1, False)])
async def test_what_stopped_in_the_same_breath_as_the_watchdog_was_the_hosts_end_and_is_wanted_after_it(
    room: Room, tmp_path: Path, later_s: float, wanted: bool
):
    """A host that shuts down sends SIGTERM to every container; what a person stopped before that stays down."""
    room.engine.mode = "docker"
    room.engine.running.pop("memory-1")
    room.engine.say(Exited("memory-1", "stopped by you", Ending.SHUTDOWN, by_person=True))
    await room.until(lambda: room.states()["memory-1"] == "held")
    clock = room.watch.clock
    room.watch.clock = lambda: clock() + later_s
    room.watch.leave()
    kept = json.loads((tmp_path / "run" / "supervision.json").read_text())["children"]["memory-1"]
    assert kept["held"] is not wanted


class Blind(MemoryEngine):
    """Without a way to Docker: since when, in seconds since the epoch."""

    away_since: float | None = 1.0

    def whereabouts(self, child_id: str) -> Whereabouts:
        return replace(super().whereabouts(child_id), beats=True)


async def test_without_a_way_to_docker_nobody_is_called_hung_again_and_again(tmp_path: Path):
    """The dead look like those that hang then: none can be told from the other, and none can be killed."""
    engine = Blind()
    room = Room(tmp_path, engine)

    async def silent(watched: Sequence[Watched], clock: object) -> tuple[list[str], list[Hung]]:
        return [], [Hung(one.id, "hung: silent for 2.6 s") for one in watched]

    room.watch._vigil.round = silent  # type: ignore[method-assign, assignment]
    await room.up()
    await room.watch._judge()
    await asyncio.gather(*room.watch._chains.values())
    assert engine.calls == []
    engine.away_since = None
    await room.watch._judge()
    await room.until(lambda: "kill memory-1" in engine.calls)
    await room.close()
