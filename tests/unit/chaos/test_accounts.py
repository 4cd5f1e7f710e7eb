"""The accounts of a chaos run: what counts as lost, duplicated, stuck and paid twice, and what does not."""

from collections.abc import Sequence
from xml.etree import ElementTree

import pytest

from shared.testing.stub_ollama import Call
from tests.chaos.accounts import Told, accounts, paid_twice, passed, table
from tests.chaos.ledger import Answer, Entry
from tests.chaos.picture import picture
from tests.chaos.plan import Fault

DONE = Told("done", ends=1, gaps=0)


def entry(*digests: str, confirmed: float | None = 1.0) -> Entry:
    answers = [Answer(f"a{n}", digest, "done", 5.0) for n, digest in enumerate(digests)]
    return Entry(1, "m", "g", published_at=0.5, confirmed_at=confirmed, answers=answers)


def call(began: float, ended: float | None, *, finished: bool = True, mark: str = "(no. 1)") -> Call:
    return Call("hash", mark, began, tokens_in=10, ended=ended, tokens_out=5, finished=finished)


def fault(service: str, at: float, *, back: float | None) -> Fault:
    return Fault(service, f"{service}-1", "kill", at, "work", recovered_at=back)


def wrong(one: Entry, told: Told | None) -> list[str]:
    figures = accounts([one], {"g": told} if told else {}, [], [])
    assert passed(figures) == (not any(figures[name] for name in ("lost", "duplicated", "stuck", "calls_paid_twice")))
    return [name for name in ("lost", "duplicated", "stuck") if figures[name]]


@pytest.mark.parametrize(
    ("one", "told", "expected"),
    [
        (entry("x"), DONE, []),
        (entry("x", "x"), DONE, []),  # the same answer delivered again
        (entry("x", "y"), DONE, ["duplicated"]),
        (entry("x"), Told("done", ends=2, gaps=0), ["duplicated"]),
        (entry("x"), None, ["lost"]),  # the planner does not know it
        (entry(), DONE, ["lost"]),  # it ended and nobody was told
        (entry(), Told("researching", ends=0, gaps=0), ["stuck"]),
        (entry(confirmed=None), None, []),  # nobody vouched for it
        (entry("x"), Told("failed", ends=1, gaps=0, reason="no corpus"), []),
    ],
)
def test_what_is_wrong_with_a_goal(one: Entry, told: Told | None, expected: list[str]) -> None:
    assert wrong(one, told) == expected


@pytest.mark.parametrize(
    ("calls", "faults", "expected"),
    [
        ([call(1, 2), call(30, 31)], [], 1),
        ([call(1, 2), call(30, 31)], [fault("researcher", 1.5, back=3)], 1),
        ([call(1, 2), call(30, 31)], [fault("inference", 1.5, back=3)], 0),  # it was in flight
        ([call(1, 2), call(30, 31)], [fault("inference", 20, back=22)], 1),  # it had long been written down
        ([call(1, 2, finished=False), call(30, 31)], [], 0),  # its answer never arrived
        ([call(1, 2, mark=""), call(30, 31, mark="")], [], 0),  # two goals may ask the same
    ],
)
def test_what_was_paid_twice(calls: Sequence[Call], faults: Sequence[Fault], expected: int) -> None:
    assert len(paid_twice(calls, faults)) == expected


def test_the_table_and_the_picture_show_every_kind_of_fault() -> None:
    faults = [fault("planner", 2, back=3.5), fault("writer", 4, back=None)]
    figures = accounts([entry("x")], {"g": DONE}, [], faults)
    assert figures["recovery_s"] == {"kill planner": {"n": 1, "p50": 1.5, "p99": 1.5, "max": 1.5}}
    shown = table(figures)
    assert "kill planner" in shown
    assert "not recovered: kill writer-1" in shown
    drawn = ElementTree.fromstring(picture([1.0], [5.0], faults, title="a <b> & c"))
    assert len(drawn.findall(".//{http://www.w3.org/2000/svg}title")) == 2
