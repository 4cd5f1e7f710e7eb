"""What Docker says, judged."""

import pytest

from services.watchdog.actions import Ending
from services.watchdog.containers import (
    Container,
    Past,
    child_of,
    ended_between,
    exit_of,
    from_inspection,
    is_ours,
    tells_who,
)

LABELS = {
    "com.docker.compose.project": "warren",
    "com.docker.compose.container-number": "2",
    "warren.supervise.id": "researcher",
}


def test_replicas_are_separate_children():
    assert child_of(LABELS) == ("researcher-2", "researcher")


def test_only_supervised_containers_of_this_project_are_ours():
    assert is_ours(LABELS, "warren")
    assert not is_ours(LABELS, "warren2")
    assert not is_ours({"com.docker.compose.project": "warren"}, "warren")
    assert not is_ours({**LABELS, "com.docker.compose.oneoff": "True"}, "warren")


def test_a_sigterm_that_was_not_ours_is_a_stop_by_a_person():
    event = exit_of("researcher-2", 0, Past(terminated=True))
    assert event.by_person


def test_a_sigterm_of_ours_is_a_shutdown_whatever_the_code():
    event = exit_of("researcher-2", 143, Past(terminated=True, ours=True))
    assert (event.by_person, event.ending) == (False, Ending.SHUTDOWN)


def test_any_other_end_is_judged_by_its_code():
    assert exit_of("a-1", 0, Past()).ending is Ending.NORMAL
    assert exit_of("a-1", 137, Past()).ending is Ending.ABNORMAL
    assert exit_of("a-1", 0, Past(out_of_memory=True)).ending is Ending.ABNORMAL
    assert exit_of("a-1", 137, Past(why="hung: silent for 10.2 s")).reason == "hung: silent for 10.2 s"


def test_an_inspection_is_read():
    container = from_inspection(
        {
            "Id": "abc",
            "Config": {"Labels": LABELS},
            "State": {
                "Running": True,
                "Paused": False,
                "ExitCode": 0,
                "OOMKilled": False,
                "StartedAt": "1970-01-01T00:01:00.500000001Z",
                "Health": {"Status": "healthy"},
            },
        }
    )
    assert (container.child, container.health, container.started_at) == ("researcher-2", "healthy", 60.5)


def test_a_container_that_never_ran_has_no_start():
    state = {"Running": False, "StartedAt": "0001-01-01T00:00:00Z"}
    container = from_inspection({"Id": "abc", "Config": {"Labels": LABELS}, "State": state})
    assert container.started_at is None
    assert container.health is None


def test_one_that_runs_anew_has_ended_and_one_that_is_merely_looked_at_again_has_not():
    def seen(*, running: bool = True, at: float | None = 100.0) -> Container:
        return Container("1", "a-1", "a", running=running, started_at=at)

    assert ended_between(seen(), seen(running=False))
    assert ended_between(seen(), seen(at=130.0))
    assert not ended_between(seen(), seen(at=100.3))
    assert not ended_between(seen(at=None), seen())
    assert not ended_between(seen(running=False), seen(at=130.0))


@pytest.mark.parametrize(
    ("action", "at", "tells"),
    [
        ("kill", 150.0, True),
        ("oom", 150.0, True),
        ("kill", 50.0, False),
        ("die", 150.0, False),
        ("start", 150.0, False),
    ],
)
def test_what_is_told_late_counts_only_if_it_says_who_ends_the_present_life(action, at, tells):
    running = Container("c1", "a-1", "a", running=True, started_at=100.0)
    event = {"Action": action, "timeNano": int(at * 1e9)}
    assert tells_who(event, running) is tells
    assert not tells_who(event, None)
    assert not tells_who(event, Container("c1", "a-1", "a", running=True, started_at=None))
