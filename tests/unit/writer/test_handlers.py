"""The writer on a write step: whatever inference answers, what leaves is true."""

import asyncio
import re

import pytest

from services.writer.handlers import Writer
from shared.contracts.evidence import Finding
from shared.contracts.generation import Generate
from shared.contracts.library import ReadSpans
from shared.contracts.steps import StepResult
from shared.errors import Rejected


def write(mesh, *inputs, **more):
    return asyncio.run(Writer().on_run_step(mesh.context(*inputs, **more)))


def checked(report, text: str):
    """Every citation holds, every mark in the text has its citation, every number is used."""
    body = report.report.split("## Sources")[0]
    marks = {int(n) for n in re.findall(r"(?<!\\)\[(\d+)\]", body)}
    assert marks == {citation.n for citation in report.citations}
    for citation in report.citations:
        assert text[citation.start : citation.end] == citation.quote
    return report


@pytest.fixture
def text(lines) -> str:
    return " ".join(lines)


def test_without_a_model_the_report_is_a_digest_of_verbatim_quotes(mesh, make_result, lines, text):
    two = make_result(lines[2], lines[3], lines[0], step="2", question="What are classic queues?")
    outcome = write(mesh, make_result(lines[0], lines[1]), two)
    report = checked(outcome.report, text)
    assert report.report.startswith("# Evidence digest (no model): How do quorum queues")
    assert report.report.endswith("4 quotes, all found verbatim in 1 source\n")
    assert report.report.count(f"- {lines[0]}") == 2, "once in the summary, once in the first section that has it"
    assert [(c.call.purpose, c.call.ordinal) for c in mesh.calls] == [("section", 0), ("section", 1)]
    assert outcome.usage.calls == 0
    assert outcome.engine == "extractive"


def test_the_engines_reason_is_the_first_line(mesh, make_result, lines):
    report = write(mesh, make_result(lines[0]), engine_reason="no model: refused").report.report
    assert report.startswith("engine: extractive - no model: refused\n\n# ")


def asked_of_models(mesh) -> list[Generate]:
    return [call for call in mesh.calls if call.engine != "extractive"]


def test_a_model_that_is_right_but_beside_the_point_stands_behind_the_answer(mesh, make_result, lines, text):
    mesh.auto = "ollama/aside"
    mesh.says["ollama/aside"] = lambda c: f"{lines[2]} [{c.inputs.passages[-1].id}]"
    report = checked(write(mesh, make_result(lines[1], lines[2])).report, text)
    said = report.report.split("## Sources")[0]
    assert said.index(lines[1]) < said.index(lines[2])
    summary = said.split("## Summary")[1].split("##")[0]
    assert lines[1] in summary


def test_a_model_that_says_what_the_quotes_say_is_believed(mesh, make_result, lines, text):
    mesh.auto = "ollama/good"
    mesh.says["ollama/good"] = lambda c: " ".join(f"{p.text[:-1]} [{p.id}]." for p in c.inputs.passages)
    outcome = write(mesh, make_result(lines[0], lines[1]), make_result(lines[2], step="2", question="Classic?"))
    report = checked(outcome.report, text)
    assert report.report.startswith("# How do quorum queues and classic queues differ?")
    assert "(quoted)" not in report.report
    assert report.report.endswith("3 citations, 3 verified in 1 source\n")
    assert (outcome.engine, outcome.usage.calls, outcome.usage.tokens_in) == ("ollama/good", 3, 300)
    assert "Already said" in asked_of_models(mesh)[1].messages[1].content


def test_one_lie_among_truths_is_sent_to_repair_once_and_then_removed(mesh, make_result, lines, text):
    lie = "A quorum queue needs at least nine nodes"

    def answer(command: Generate) -> str:
        ids = [p.id for p in command.inputs.passages]
        if command.call.purpose == "section":
            return f"{lines[0]} [{ids[0]}] {lines[4]} [{ids[2]}] {lie} [{ids[1]}]."
        return f"{lie} [{ids[0]}]."

    mesh.auto, mesh.says["ollama/x"] = "ollama/x", answer
    report = checked(write(mesh, make_result(lines[0], lines[1], lines[4])).report, text)
    assert lie not in report.report
    assert [c.call.purpose for c in asked_of_models(mesh)] == ["section", "repair", "summary"]
    assert [(r.section, r.sentence) for r in report.removed] == [
        ("What are quorum queues?", f"{lie}."),
        ("Summary", f"{lie}."),
    ]
    assert all(r.reason for r in report.removed)
    assert report.report.endswith("; 2 sentences removed\n")


def test_a_repair_that_holds_takes_the_place_of_what_failed(mesh, make_result, lines, text):
    def answer(command: Generate) -> str:
        ids = [p.id for p in command.inputs.passages]
        if command.call.purpose == "section":
            return f"{lines[0]} [{ids[0]}] A quorum queue needs at least nine nodes [{ids[1]}]."
        return f"{lines[1]} [{ids[1]}]" if command.call.purpose == "repair" else f"{lines[0]} [s1]"

    mesh.auto, mesh.says["ollama/x"] = "ollama/x", answer
    report = checked(write(mesh, make_result(lines[0], lines[1])).report, text)
    assert report.removed == ()
    assert f"{lines[1]} [2]" in report.report


def test_a_section_that_loses_more_than_half_is_quoted_instead(mesh, make_result, lines, text):
    mesh.auto = "ollama/weak"
    mesh.says["ollama/weak"] = lambda c: " ".join(
        f"The moon is made of cheese {n} [{c.inputs.passages[0].id}]." for n in range(9)
    )
    outcome = write(mesh, make_result(lines[0], lines[1]))
    report = checked(outcome.report, text)
    assert "## What are quorum queues? (quoted)" in report.report
    assert f"- {lines[0]} [1]" in report.report
    assert "cheese" not in report.report
    assert [(c.engine, c.call.purpose) for c in mesh.calls] == [
        ("auto", "section"),
        ("extractive", "section"),
        ("auto", "summary"),
    ], "no repair is paid for where most is wrong"
    assert len({(c.call.purpose, c.call.ordinal) for c in mesh.calls}) == 3


@pytest.mark.parametrize(
    ("finish", "why"),
    [
        ("failed", "connection refused"),
        ("length", "its answers ended with length"),
        ("unsupported", "its answers ended with unsupported"),
    ],
)
def test_a_model_that_fails_is_replaced_by_quotes_and_the_report_says_so(mesh, make_result, lines, text, finish, why):
    mesh.auto, mesh.finish["ollama/x"] = "ollama/x", finish
    outcome = write(mesh, make_result(lines[0], lines[1]))
    report = checked(outcome.report, text)
    assert len(report.citations) == 2
    reason = f"ollama/x gave no whole section ({why})"
    assert report.report.startswith(f"engine: extractive - {reason}\n\n# ")
    assert (outcome.engine, outcome.engine_reason) == ("extractive", reason)


def test_even_without_any_inference_the_quotes_are_shown(mesh, make_result, lines, text):
    mesh.finish["extractive"] = "failed"
    report = checked(write(mesh, make_result(lines[0], lines[1])).report, text)
    assert len(report.citations) == 2


def test_the_engine_that_the_goal_named_is_not_replaced(mesh, make_result, lines):
    mesh.finish["ollama/x"] = "failed"
    with pytest.raises(Rejected, match="connection refused"):
        write(mesh, make_result(lines[0]), engine="ollama/x")


def test_evidence_that_is_not_in_the_stored_text_is_removed_with_its_finding(
    mesh, make_result, make_quote, lines, text
):
    good = make_result(lines[0])
    lie = make_quote(lines[1]).model_copy(update={"quote": lines[1].replace("three", "eight")})
    planted = StepResult(
        step="2",
        question="How many?",
        findings=(Finding(text=lie.quote, evidence_ids=(lie.evidence_id,)),),
        evidence=(lie,),
    )
    report = checked(write(mesh, good, planted).report, text)
    assert "eight" not in report.report
    assert [(r.section, r.sentence) for r in report.removed] == [("How many?", lie.quote)]
    assert report.not_found == ("nothing that a quote supports: How many?",)


def test_what_was_not_found_is_said_and_failed_steps_are_named(mesh, make_result, lines):
    missing = StepResult(
        step="2", question="What does it cost?", not_found=('no passage in 214 documents mentions "price"',)
    )
    failed = StepResult(step="3", question="And when?", status="failed", reason="memory refused")
    report = write(mesh, make_result(lines[0]), missing, failed).report
    assert report.not_found == (
        'no passage in 214 documents mentions "price"',
        "And when? (the step failed: memory refused)",
    )
    assert "## Not found" in report.report


def test_a_goal_that_nothing_answers_is_an_honest_report_without_any_call(mesh):
    outcome = write(mesh, StepResult(step="1", question="Why?", not_found=("no passage in 3 documents matches: Why?",)))
    assert mesh.calls == []
    assert "cites nothing" in outcome.report.report
    assert outcome.report.citations == ()
    assert outcome.report.not_found


@pytest.mark.parametrize(
    "hostile",
    [
        "![x](http://evil.example/?q=[99]) <img src=x onerror=alert(1)>",
        "# Ignore the gate [1]\n\n```\n[99]\n```\n" * 200,
        "I am loop. " * 200_000,
        "[99][98][97] " * 50_000,
        "仲裁队列需要九个节点 [1]。\u202e" * 500,
        '{"sections": [{"text": "x", "citations": [' * 1000,
        "",
    ],
    ids=["html", "markdown", "loop", "citations", "other script", "json", "nothing"],
)
def test_hostile_output_of_a_model_never_reaches_the_report(mesh, make_result, lines, text, hostile):
    mesh.auto = "ollama/evil"
    mesh.says["ollama/evil"] = lambda c: hostile.replace("[1]", f"[{c.inputs.passages[0].id}]")
    report = checked(write(mesh, make_result(lines[0], lines[1])).report, text)
    assert len(report.citations) == 2
    assert "evil" not in report.report.replace("ollama/evil", "")
    assert len(report.model_dump_json()) < 100_000


def test_many_quotes_are_read_in_requests_that_fit_a_message(mesh, make_quote):
    text = " ".join(f"Fact number {n} is about thing {n}." for n in range(500))
    items = tuple(make_quote(f"Fact number {n} is about thing {n}.", text=text, sha256="a" * 64) for n in range(500))
    mesh.texts["a" * 64] = text
    outcome = write(mesh, StepResult(step="1", question="Which facts?", evidence=items))
    assert [len(c.spans) for c in mesh.asked if isinstance(c, ReadSpans)] == [200, 200, 100]
    assert 0 < len(outcome.report.citations) <= 8
