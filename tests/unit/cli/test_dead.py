"""The dead-letter workbench on the command line, before anything travels."""

import io
import sys
from pathlib import Path

import pytest

from services.cli.app import run
from services.cli.correct import checked_body, corrected, edited, indented
from services.cli.outcome import CommandFailed, Exit, UsageError
from shared.contracts.dead_letters import DeadLetter, DeadLetterShown

LETTER = DeadLetter(id="7a1c0f0e-2222", reason="goal: Field required", queue="planner.v1", attempts=1)


def shown(body: str = '{"gaol":"x"}') -> DeadLetterShown:
    return DeadLetterShown(dead_letter=LETTER, type="submit_goal.v1", headers={}, body=body)


def editor(folder: Path, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """$EDITOR is a Python program that gets the file's path as `path`."""
    program = folder / "editor.py"
    program.write_text(f"import sys, pathlib\npath = pathlib.Path(sys.argv[1])\n{code}\n")
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", f"{sys.executable} {program}")


@pytest.mark.parametrize("command", ["retry", "drop"])
def test_naming_no_letter_is_wrong_usage(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dead", command]) == Exit.USAGE
    assert "at least one" in capsys.readouterr().err


def test_the_new_body_comes_from_a_file_or_from_stdin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b.json").write_text('{"goal": "g"}')
    assert corrected(shown(), tmp_path / "b.json") == '{"goal": "g"}'
    for file in (Path("-"), None):
        monkeypatch.setattr(sys, "stdin", io.StringIO('{"goal": "h"}'))
        assert corrected(shown(), file) == '{"goal": "h"}'
    monkeypatch.setattr(sys, "stdin", io.StringIO(" \n"))
    with pytest.raises(UsageError, match="the new body is empty"):
        corrected(shown(), None)


def test_a_terminal_opens_the_editor_on_indented_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    editor(tmp_path, "path.write_text(path.read_text().replace('gaol', 'goal'))", monkeypatch)
    assert corrected(shown(), None) == '{\n  "goal": "x"\n}\n'
    editor(tmp_path, "", monkeypatch)
    assert corrected(shown(), None) is None
    with pytest.raises(CommandFailed, match="too large"):
        corrected(shown("x" * 64 * 1024), None)


def test_an_editor_that_fails_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    editor(tmp_path, "path.write_text('mine'); sys.exit(3)", monkeypatch)
    with pytest.raises(CommandFailed, match="ended with an error") as failure:
        edited("before")
    kept = Path((failure.value.hint or "").split()[-1])
    assert kept.read_text() == "mine"
    kept.unlink()


def test_what_is_no_json_is_shown_as_it_is() -> None:
    assert indented("please") == "please"


@pytest.mark.parametrize(
    ("text", "kind", "field"),
    [
        ('{"goal": ""}', "submit_goal.v1", "goal"),
        ('{"goal": "g", "corpsu": "x"}', "submit_goal.v1", "corpsu"),
        ("not json", "submit_goal.v1", None),
        ('{"goal": "g"}', "submit_goal.v9", "type"),
    ],
)
def test_a_wrong_field_is_named_before_it_is_sent_and_the_text_is_kept(text: str, kind: str, field: str | None) -> None:
    with pytest.raises(UsageError) as refusal:
        checked_body(text, kind)
    assert refusal.value.field == field
    kept = Path((refusal.value.hint or "").split(" is in ")[1].split(":")[0])
    assert kept.read_text() == text
    kept.unlink()


def test_a_good_body_passes() -> None:
    checked_body('{"goal": "g"}', "submit_goal.v1")
