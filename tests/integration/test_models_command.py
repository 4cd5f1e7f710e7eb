"""`warren models create`, `copy` and `version` against a mesh, as a person types them."""

import asyncio
from pathlib import Path

import pytest

from services.cli.app import run
from services.cli.outcome import Exit
from shared.testing.stub_ollama import StubOllama
from tests.integration.test_inference_service import inference


async def test_a_model_is_made_of_another_by_hand(
    amqp_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "template").write_text("{{ .Tools }}{{ .Prompt }}")
    made = ["create", "brief", "--base", "stub", "--system", "Be brief.", "--set", "temperature=0.5"]
    made += ["--set", "stop=END", "--template", str(tmp_path / "template")]
    async with StubOllama.listening() as stub:
        with inference(tmp_path, amqp_url, WARREN_OLLAMA_URLS=stub.url):
            codes = [
                await asyncio.to_thread(run, ["models", *words, "--url", amqp_url])
                for words in (made, ["copy", "brief", "two"], ["show", "two"], ["version"], ["copy", "gone", "three"])
            ]
            said = capsys.readouterr()
    assert codes == [Exit.DONE] * 4 + [Exit.FAILED]
    assert (stub.created["brief:latest"]["parameters"], stub.more) == (
        {"temperature": 0.5, "stop": "END"}, {"brief:latest", "two:latest"},
    )  # fmt: skip
    assert stub.created["brief:latest"]["template"] == "{{ .Tools }}{{ .Prompt }}"
    assert "created on 1 host" in said.err
    assert "copied on 1 host" in said.err
    assert "0.0.0-stub" in said.out
    assert "`ollama pull gone`" in said.err
