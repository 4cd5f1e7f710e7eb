"""What the command knows without a mesh: notes on children, logs, the broker's greeting, lines of goals, tables."""

import json
import os
import struct
import time
from pathlib import Path

import pytest

from services.cli.children import now_true, rows_of, shaped
from services.cli.console import duration, one_line, table
from services.cli.corpus import looks_like_path, name_for
from services.cli.doctor import Check, can_run, python_check
from services.cli.handshake import read_start
from services.cli.logs import Tails
from services.cli.publish import parse

DEFAULTS: dict[str, object] = {"corpus": ("papers",), "namespace": "default", "engine": "auto"}


def test_a_note_on_a_process_that_is_gone_is_corrected() -> None:
    row = {"service": "writer", "instance": "writer-1", "pid": 2**22 + 1, "state": "running", "uptime_s": 5.0}
    assert now_true(row, now=0.0) | {"pid": None} == {**row, "pid": None, "state": "stopped", "uptime_s": 0.0}


def test_a_process_that_is_there_has_grown_older() -> None:
    row = {"service": "cli", "instance": "x", "pid": os.getpid(), "state": "running", "started_at": 100.0}
    assert now_true(row, now=160.0)["uptime_s"] == 60.0


def test_rows_have_the_promised_shape(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    row = {
        "service": "inference", "instance": "inference-1", "pid": os.getpid(), "state": "running", "restarts": 2,
        "uptime_s": 1.0, "started_at": time.time(), "reason": None, "engine": "extractive",
    }  # fmt: skip
    (tmp_path / "run" / "children.json").write_text(json.dumps([row]))
    (shown,) = rows_of(tmp_path)
    assert list(shown) == ["service", "instance", "pid", "state", "restarts", "uptime_s", "engine"]


def test_a_container_has_no_pid() -> None:
    row = {"service": "a", "instance": "a-1", "pid": None, "container": "abc", "state": "held", "restarts": 0}
    assert "pid" not in shaped(row)


def test_no_notes_are_no_rows(tmp_path: Path) -> None:
    assert rows_of(tmp_path) == []


def start_frame(**properties: str) -> bytes:
    inner = b"".join(
        bytes([len(k)]) + k.encode() + b"S" + struct.pack(">I", len(v)) + v.encode() for k, v in properties.items()
    )
    payload = b"\x00\x0a\x00\x0a\x00\x09" + struct.pack(">I", len(inner)) + inner
    return b"\x01\x00\x00" + struct.pack(">I", len(payload)) + payload + b"\xce"


def test_the_greeting_tells_product_and_version() -> None:
    found = read_start(start_frame(product="RabbitMQ", version="4.3.6"))
    assert (found.answers, found.product, found.version, found.version_tuple) == (True, "RabbitMQ", "4.3.6", (4, 3))


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request", b"AMQP\x03\x01\x00\x00"])
def test_something_else_is_no_broker(answer: bytes) -> None:
    assert not read_start(answer).answers


def test_lines_of_text_and_of_json_are_goals() -> None:
    goals, wrong = parse(["What is X?\n", "\n", '{"goal": "Y?", "priority": 9, "corpus": "other"}\n'], DEFAULTS)
    assert wrong == []
    assert [(g.goal, g.corpora, g.priority) for g in goals] == [("What is X?", ("papers",), 3), ("Y?", ("other",), 9)]


@pytest.mark.parametrize(
    "line", ["{broken", '{"goal": 7}', '{"goal": ""}', '{"gaol": "x"}', '{"goal":' + "[" * 100_000]
)
def test_a_wrong_line_is_named_and_the_others_go_on(line: str) -> None:
    goals, wrong = parse(["good", line], DEFAULTS)
    assert len(goals) == 1
    assert wrong[0].startswith("line 2 is not published: ")


def test_logs_are_read_on_from_where_they_were_left(tmp_path: Path) -> None:
    log = tmp_path / "researcher-1.log"
    log.write_text("one\ntwo\nthree\nhalf")
    (tmp_path / "research.log").write_text("other\n")
    tails = Tails(tmp_path, "researcher")
    assert tails.last(2) == ["researcher-1 | two", "researcher-1 | three"]
    with log.open("a") as file:
        file.write(" a line\n")
    assert list(tails.new()) == ["researcher-1 | half a line"]
    log.write_text("fresh\n")
    assert list(tails.new()) == ["researcher-1 | fresh"]


def test_logs_of_a_goal_come_in_the_order_of_their_times(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text('{"goal_id": "g1", "timestamp": "2026-01-01T00:00:02Z"}\n{"goal_id": "g2"}\n')
    (tmp_path / "b.log").write_text('{"goal_id": "g1", "timestamp": "2026-01-01T00:00:01Z"}\n')
    assert [line[0] for line in Tails(tmp_path, goal="g1").last(10)] == ["b", "a"]


def test_a_path_gets_the_same_name_every_time(tmp_path: Path) -> None:
    folder = tmp_path / "My papers (2026)"
    folder.mkdir()
    assert name_for(folder) == name_for(folder / ".." / folder.name)
    assert name_for(folder).startswith("My-papers-2026-")
    assert name_for(folder) != name_for(tmp_path)


@pytest.mark.parametrize(("value", "path"), [("./papers", True), ("papers/", True), ("~/x", True), ("papers", False)])
def test_paths_and_names(value: str, path: bool) -> None:
    assert looks_like_path(value) is path


def test_doctor_fails_for_what_is_needed_only() -> None:
    assert can_run([Check("docker", "wrong", "none"), Check("python", "ok", "3.11", needed=True)])
    assert not can_run([python_check((3, 10, 2))])


def test_tables_align_and_only_the_terminal_cuts() -> None:
    rows = [("a", "x" * 50), ("bbb", "y")]
    assert table(("id", "text"), rows).splitlines()[1] == "a    " + "x" * 50
    assert table(("id", "text"), rows, width=20).splitlines()[1] == "a    " + "x" * 14 + "…"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.041, "41 ms"), (3.25, "3.2 s"), (59.4, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (90000, "1 d 1 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_one_line() -> None:
    assert one_line("a\n  b\tc") == "a b c"
    assert one_line("abcdef", 4) == "abc…"
