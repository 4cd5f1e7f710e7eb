"""A second opinion may only take away, and what is no opinion changes nothing."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.writer.gate import Archive, Claim
from services.writer.handlers import Writer
from services.writer.opinion import read, to_judge
from shared.contracts.generation import CallKey, Generated
from tests.unit.writer.conftest import TEXT
from tests.unit.writer.test_handlers import checked

CLAIMS = tuple(Claim(f"Sentence number {n} says so.", (f"e{n}",)) for n in range(6))
CALL = CallKey(goal_id="g", run=1, step="write", epoch=0, purpose="opinion", ordinal=0)
WRITTEN = "To a majority of nodes quorum queues replicate every message"


def said(text: str, **more: str) -> Generated:
    return Generated(**{"call": CALL, "engine": "ollama/judge", "finish": "stop", "text": text, **more})


@given(
    st.one_of(st.text(), st.lists(st.integers(-3, 99)).map(lambda numbers: json.dumps({"unsupported": numbers}))),
    st.sampled_from(["stop", "length", "failed", "unsupported"]),
)
def test_whatever_it_says_nothing_is_added_changed_or_moved(text: str, finish: str) -> None:
    opinion = read(said(text, finish=finish), CLAIMS, CLAIMS[1:4])
    assert [claim for claim in CLAIMS if claim in opinion.kept] == list(opinion.kept)
    assert len(opinion.kept) + len(opinion.removed) == len(CLAIMS)
    assert {failure.text for failure in opinion.removed} <= {claim.text for claim in CLAIMS[1:4]}
    assert opinion.kept == CLAIMS or not opinion.failed


def test_numbers_are_those_of_what_was_shown() -> None:
    opinion = read(said('{"unsupported": [1, 3, 77]}'), CLAIMS, CLAIMS[1:4])
    assert [failure.text for failure in opinion.removed] == [CLAIMS[1].text, CLAIMS[3].text]
    assert all("ollama/judge" in failure.reason for failure in opinion.removed)


@pytest.mark.parametrize(
    "text", ["", "no", "{}", '{"unsupported": "all"}', '{"unsupported": [1]} {"unsupported": [2]}']
)
def test_what_is_no_opinion_says_why(text: str) -> None:
    opinion = read(said(text), CLAIMS, CLAIMS)
    assert opinion.kept == CLAIMS
    assert opinion.failed


def test_what_stands_word_for_word_in_its_quote_is_not_asked_about(make_quote, lines) -> None:
    quote = make_quote(lines[0])
    archive = Archive({quote.evidence_id: quote})
    own, theirs = Claim(WRITTEN, (quote.evidence_id,)), Claim(lines[0], (quote.evidence_id,))
    assert to_judge((theirs, own), archive) == (own,)


def _write(mesh, make_result, lines, second):
    def answer(command):
        return f"{WRITTEN} [{command.inputs.passages[0].id}]."

    mesh.auto, mesh.says["ollama/x"] = "ollama/x", answer
    return Writer(second=second).on_run_step(mesh.context(make_result(lines[0], lines[1])))


async def test_what_it_does_not_believe_is_removed_and_recorded(mesh, make_result, lines) -> None:
    mesh.says["ollama/judge"] = lambda command: '{"unsupported": [1]}'
    outcome = await _write(mesh, make_result, lines, "ollama/judge")
    report = checked(outcome.report, TEXT)
    assert WRITTEN not in report.report
    assert lines[0] in report.report  # the sources' own words stand
    assert "opinion of ollama/judge" in report.removed[0].reason
    asked = [call for call in mesh.calls if call.call.purpose == "opinion"]
    assert len(asked) <= 2  # a section and the summary
    assert len({call.call for call in asked}) == len(asked)
    assert outcome.usage.calls == len([call for call in mesh.calls if call.engine != "extractive"])


@pytest.mark.parametrize("finish", ["failed", "length"])
async def test_a_judge_who_fails_changes_nothing_and_that_is_said(mesh, make_result, lines, finish) -> None:
    mesh.finish["ollama/judge"] = finish
    report = checked((await _write(mesh, make_result, lines, "ollama/judge")).report, TEXT)
    assert WRITTEN in report.report
    assert "no second opinion" in report.report


async def test_without_the_setting_nobody_is_asked(mesh, make_result, lines) -> None:
    outcome = await _write(mesh, make_result, lines, "")
    assert WRITTEN in checked(outcome.report, TEXT).report
    assert "opinion" not in [call.call.purpose for call in mesh.calls]
