"""The command line as a person meets it: help, mistakes, exit codes, and nothing but data on stdout."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.cli.app import build, run
from services.cli.outcome import Exit, UsageError, code_of, guarded, sentence_of
from shared.errors import ConfigurationError, NoMesh, NoReply, RequestFailed, WarrenError

ROOT = Path(__file__).resolve().parents[3]
NOWHERE = "amqp://127.0.0.1:1/"


@pytest.fixture(autouse=True)
def a_home_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("WARREN_AMQP_URL", "WARREN_MODE", "WARREN_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WARREN_HOME", str(tmp_path / "home"))


def warren(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """The real thing, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "services.cli", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        input=stdin,
    )


def test_help_lists_every_command_of_the_stable_surface() -> None:
    done = warren("--help")
    assert done.returncode == 0
    for name in (
        "ask", "up", "down", "ps", "logs", "goals", "show", "watch", "cancel", "corpus", "memory", "dead", "publish",
        "url", "verify", "doctor", "stop", "release", "kill", "scale", "report", "demo", "retry",
    ):  # fmt: skip
        assert f" {name} " in done.stdout


def test_a_goal_is_asked_with_its_level() -> None:
    from services.cli.ask import AskOptions, _goal

    assert [_goal("x", AskOptions(), ()).sensitivity] == ["internal"]
    assert _goal("x", AskOptions(sensitivity="restricted"), ()).sensitivity == "restricted"
    with pytest.raises(UsageError, match="sensitivity"):
        _goal("x", AskOptions(sensitivity="secret"), ())


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from services.cli.app import build; build()\n"
        "heavy = {'faststream', 'aio_pika', 'sqlalchemy', 'pydantic', 'pydantic_settings', 'rich.live'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "arguments",
    [
        ["bogus"], ["ask"], ["ask", "  "], ["ask", "x", "--bogus"], ["ask", "x", "--priority", "12"],
        ["ask", "x", "--priority", "high"], ["ask", "x", "--corpus", "./nowhere", "--url", "http://x/"],
        ["corpus", "add", "bad/name", "."], ["corpus", "add", "name"], ["memory", "forget"],
        ["memory", "list", "--limit", "0"], ["goals", "--limit", "0"], ["dead", "list", "--limit", "0"],
        ["up", "--timeout", "0"], ["goals", "--url", "nonsense"], ["verify", "."],
    ],
)  # fmt: skip
def test_wrong_usage_is_2_and_a_sentence(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == Exit.USAGE
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.strip()
    assert "Traceback" not in told.err


@pytest.mark.parametrize("command", [["goals"], ["ps"], ["ask", "x"]])
def test_no_mesh_is_5_and_says_what_to_do(command: list[str]) -> None:
    done = warren(*command, "--json", "--url", NOWHERE)
    assert done.returncode == Exit.NO_MESH
    assert done.stdout == ""
    assert "warren up" in done.stderr
    assert "Traceback" not in done.stderr


def test_url_prints_the_address_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARREN_AMQP_URL", "amqp://me:secret@broker.example:5671/")
    done = warren("url")
    assert (done.returncode, done.stdout, done.stderr) == (0, "amqp://me:secret@broker.example:5671/\n", "")


def test_publish_without_goals_is_wrong_usage() -> None:
    assert warren("publish", "--url", NOWHERE, stdin="\n\n").returncode == Exit.USAGE


def test_doctor_prints_json_only() -> None:
    done = warren("doctor", "--json", "--url", NOWHERE)
    data = json.loads(done.stdout)
    assert {check["name"] for check in data["checks"]} >= {"python", "home", "disk", "broker", "rabbitmq", "docker"}
    assert done.returncode == (Exit.DONE if data["can_run"] else Exit.FAILED)


def test_version() -> None:
    assert warren("--version").stdout.strip()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NoMesh("none"), 5), (NoReply("late"), 3), (UsageError("no"), 2), (ConfigurationError("no"), 2),
        (RequestFailed("no", kind="rejected"), 1), (WarrenError("no"), 1), (KeyboardInterrupt(), 4),
        (OSError(13, "Permission denied", "f"), 1), (ZeroDivisionError("x"), 1),
    ],
)  # fmt: skip
def test_every_error_has_its_code_and_a_sentence(error: BaseException, code: int) -> None:
    assert code_of(error) == code
    assert "\n  File" not in sentence_of(error)


def test_an_unexpected_error_is_no_stack_trace(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(lambda: 1 // 0) == Exit.FAILED
    told = capsys.readouterr().err
    assert "ZeroDivisionError" in told
    assert "WARREN_DEBUG=1" in told
    assert "Traceback" not in told


def test_debug_shows_the_stack(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARREN_DEBUG", "1")
    guarded(lambda: 1 // 0)
    assert "Traceback" in capsys.readouterr().err


def test_the_cause_inside_a_group_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> int:
        raise ExceptionGroup("tasks", [ValueError("x"), ExceptionGroup("more", [NoMesh("no broker answers")])])

    assert guarded(fail) == Exit.NO_MESH
    assert "no broker answers" in capsys.readouterr().err


def test_a_reader_that_has_gone_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m services.cli --help | true",
        shell=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr


def test_every_command_that_prints_data_knows_json() -> None:
    app = build()
    for path in (
        ["goals"], ["show"], ["watch"], ["report"], ["ps"], ["verify"], ["doctor"], ["publish"], ["ask"], ["cancel"],
        ["corpus", "add"], ["corpus", "list"], ["memory", "list"], ["memory", "recall"], ["dead", "list"],
        ["dead", "show"],
    ):  # fmt: skip
        command = app
        for name in path:
            command = command[name]
        arguments = command.assemble_argument_collection()
        assert any("--json" in argument.names for argument in arguments), path
