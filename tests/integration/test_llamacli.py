"""The real program of llama.cpp with a small real model, run in its image by a wrapper of two lines. (That a program is
ended with all that it started is seen with the unit test's own: a container does not belong to a process group.)
"""

import json
import os
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from services.inference.generation import EngineFailed
from services.inference.llamacli import LlamaCli
from shared.contracts.chat import ChatMessage
from tests.integration import engines
from tests.integration.test_model_servers import FILE, IMAGE, SCHEMA
from tests.unit.inference.requests import generate

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> LlamaCli:
    loader = os.environ.get("WARREN_TEST_MODEL_LOADER")
    if not loader:
        pytest.skip("WARREN_TEST_MODEL_LOADER names no loader of gemma3:270m")
    engines.need_docker()
    fetched = subprocess.run([loader, "--files"], check=True, timeout=300, capture_output=True, text=True)
    folder = Path(fetched.stdout.split()[-1])
    program = tmp_path_factory.mktemp("llamacli") / "llama-completion"
    mounts = f'-v "{folder}:{folder}:ro" -v "${{TMPDIR:-/tmp}}:${{TMPDIR:-/tmp}}:ro"'
    command = f"docker run --rm --network none {mounts} --entrypoint llama-completion {IMAGE}"
    program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    program.chmod(0o755)
    return LlamaCli(str(program), folder, num_ctx=1024, first_token=timedelta(seconds=240))


async def test_the_real_program_answers_within_its_limit(host: LlamaCli) -> None:
    assert FILE in [model.name for model in (await host.probe()).models]
    messages = (ChatMessage(role="system", content="Be brief."), ChatMessage(role="user", content="What is a queue?"))
    answer = await host.chat(FILE, generate(messages=messages, max_tokens=6), lambda _: None)
    assert (answer.finish, answer.tokens_out) == ("length", 6)
    assert answer.text
    assert answer.tokens_in > 5
    assert "perf" not in answer.text


async def test_the_real_program_holds_a_schema(host: LlamaCli) -> None:
    request = generate("Say one.", max_tokens=40, output_schema=SCHEMA)
    answer = await host.chat(FILE, request, lambda _: None)
    assert answer.finish == "stop"
    assert json.loads(answer.text)["n"] in ("one", "two")


async def test_the_real_programs_own_error_is_told(host: LlamaCli, tmp_path: Path) -> None:
    """A file that begins like a model and is none. (Docker may lose the last lines.)"""
    (tmp_path / "damaged.gguf").write_bytes(b"GGUF" + bytes(100))
    broken = LlamaCli(host.program, tmp_path)
    with pytest.raises(EngineFailed, match=r"exit code 1: .*llama") as failed:
        await broken.chat("damaged.gguf", generate(max_tokens=4), lambda _: None)
    assert failed.value.kind == "broken"
