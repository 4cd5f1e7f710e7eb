"""llama.cpp's program for the command line, played by a program of the same manners."""

import asyncio
import os
from pathlib import Path

import pytest

from services.inference.generation import EngineFailed, choose_engine
from services.inference.llamacli import LlamaCli
from shared.contracts.chat import ChatMessage, Tool
from shared.testing import fake_llamacli
from tests.unit.inference.requests import generate

EVIL = "--help\n-m /etc/passwd; rm -rf $HOME `id` '\"\\n"


async def chat(program: Path, model: str = "fake-1b.gguf", **request: object) -> tuple[str, str, int]:
    host = LlamaCli(str(program), program.parent)
    answer = await host.chat(model, generate(**request), lambda _: None)  # type: ignore[arg-type]  # of several kinds
    return answer.text, answer.finish, answer.tokens_out


async def failure(program: Path, model: str = "fake-1b.gguf", **request: object) -> EngineFailed:
    with pytest.raises(EngineFailed) as failed:
        await chat(program, model, **request)
    return failed.value


async def test_an_answer_comes_from_the_program_and_what_was_asked_is_in_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARREN_AMQP_URL", "amqp://user:secret@host")
    program, model = fake_llamacli.write(tmp_path, words=["Quorum ", "queues ", "replicate ", "messages ", "[p1]."])
    messages = (ChatMessage(role="system", content="Be brief."), ChatMessage(role="user", content=EVIL))
    schema = {"type": "object", "properties": {"n": {"type": "string", "pattern": "^(?=x)"}}}
    answer = await chat(program, messages=messages, max_tokens=9, output_schema=schema)
    assert answer == ("Quorum queues replicate messages [p1].", "stop", 5)
    (call,) = fake_llamacli.asked(model)
    assert (call["prompt"], call["system"]) == (EVIL, "Be brief.")
    assert call["schema"] == '{"type": "object", "properties": {"n": {"type": "string"}}}'
    assert not any(word in option for option in call["options"] for word in ("passwd", "brief"))
    assert call["options"][call["options"].index("-n") + 1] == "9"
    assert not [name for name in call["environment"] if name.startswith(("WARREN", "LLAMA"))]
    assert not os.path.exists(call["options"][call["options"].index("-f") + 1])  # noqa: ASYNC240  one look


async def test_what_is_cut_by_the_limit_is_no_success(tmp_path: Path) -> None:
    program, _ = fake_llamacli.write(tmp_path, words=["a "] * 9)
    assert await chat(program, max_tokens=4) == ("a a a a", "length", 4)


async def test_a_failing_program_is_told_with_its_last_words(tmp_path: Path) -> None:
    program, _ = fake_llamacli.write(tmp_path, exit=3, stderr="I hello\nE unknown model architecture")
    error = await failure(program)
    assert error.kind == "broken"
    assert "exit code 3: I hello; E unknown model architecture" in error.reason


async def test_memory_that_is_not_there_is_told_apart(tmp_path: Path) -> None:
    program, _ = fake_llamacli.write(tmp_path, exit=1, stderr="ggml: failed to allocate buffer of size 9")
    assert (await failure(program)).kind == "memory"


@pytest.mark.parametrize("name", ["../outside.gguf", "/etc/passwd", "link.gguf", "text.gguf", "fake-1b", "-h", "gone"])
async def test_only_gguf_files_of_the_folder_are_models(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    program, _ = fake_llamacli.write(folder)
    (tmp_path / "outside.gguf").write_bytes(b"GGUF{}")
    (folder / "link.gguf").symlink_to(tmp_path / "outside.gguf")
    (folder / "text.gguf").write_text("no model")
    assert (await failure(program, name)).kind == "missing"


async def test_cancelling_ends_the_program_and_what_it_started(tmp_path: Path) -> None:
    child = tmp_path / "child"
    program, _ = fake_llamacli.write(tmp_path, words=["go on and on, "] * 1000, token_s=0.05, child=str(child))
    begun = asyncio.Event()
    host = LlamaCli(str(program), tmp_path)
    call = asyncio.create_task(host.chat("fake-1b.gguf", generate(max_tokens=999), lambda _: begun.set()))
    async with asyncio.timeout(20):
        await begun.wait()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        pid = int(child.read_text())
        while _runs(pid):  # killed with its group; whoever adopted it has to see that
            await asyncio.wait([asyncio.ensure_future(host.probe())])
    assert call.cancelled()


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_what_it_cannot_do_is_unsupported(tmp_path: Path) -> None:
    program, model = fake_llamacli.write(tmp_path)
    assert (await failure(program, tools=(Tool(name="look"),))).kind == "unsupported"
    with pytest.raises(EngineFailed, match="does not embed"):
        await LlamaCli(str(program), tmp_path).embed(model.name, ["a"])


async def test_it_is_found_by_name_and_never_taken_by_auto(tmp_path: Path) -> None:
    program, _ = fake_llamacli.write(tmp_path, name="model-8b.gguf")
    (tmp_path / "big-00002-of-00003.gguf").write_bytes(b"GGUF")
    (tmp_path / "mmproj-f16.gguf").write_bytes(b"GGUF")
    seen = await LlamaCli(str(program), tmp_path).probe()
    assert [(m.name, m.parameters) for m in seen.models] == [("model-8b.gguf", 8e9)]
    for wanted in ("llamacli/model-8b.gguf", "llamacli/model-8b"):
        choice = choose_engine(wanted, configured="", hosts=[seen])
        assert (choice.provider, choice.model, choice.lane) == ("llamacli", "model-8b.gguf", "llamacli")
    auto = choose_engine("auto", configured="", hosts=[seen])
    assert "WARREN_MODEL=llamacli/model-8b.gguf" in (auto.reason or "")
    assert "names no folder" in (choose_engine("llamacli/x", configured="", hosts=[]).reason or "")


async def test_a_missing_program_or_folder_says_what_to_do(tmp_path: Path) -> None:
    program, _ = fake_llamacli.write(tmp_path)
    assert "install llama.cpp" in ((await LlamaCli("no-such-program", tmp_path).probe()).error or "")
    assert "WARREN_LLAMACLI_FOLDER" in ((await LlamaCli(str(program), tmp_path / "no").probe()).error or "")
    with pytest.raises(EngineFailed, match="cannot be started") as failed:
        await LlamaCli(str(tmp_path / "gone"), tmp_path).chat("fake-1b.gguf", generate(), lambda _: None)
    assert failed.value.kind == "missing"
