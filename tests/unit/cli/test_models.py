"""`warren models`: how hosts and pulls are shown, before anything travels."""

import pytest

from services.cli.app import run
from services.cli.model_making import settings_of
from services.cli.models import progress, rows
from services.cli.outcome import Exit
from shared.contracts.models import ModelHeld, ModelHost, ModelPulled

LOADED = ModelHeld(
    name="qwen3:8b", parameters="8.2B", quantization="Q4_K_M", size_bytes=5_225_000_000,
    loaded=True, memory_bytes=6_100_000_000, context=8192,
)  # fmt: skip
RESTING = ModelHeld(name="all-minilm:latest", size_bytes=46_000_000, chats=False, embeds=True)
HOSTS = (ModelHost(url="http://a", models=(LOADED, RESTING)), ModelHost(url="http://b", error="http://b refused"))


def test_each_model_is_a_line_and_ps_has_only_what_is_loaded() -> None:
    loaded = ("qwen3:8b", "8.2B Q4_K_M", "5.2 GB", "chat", "6.1 GB", 8192, "http://a")
    resting = ("all-minilm:latest", "?", "46 MB", "embed", "-", "-", "http://a")
    assert rows(HOSTS, only_loaded=False) == [loaded, resting]
    assert rows(HOSTS, only_loaded=True) == [loaded]


def test_a_pull_says_how_far_it_is() -> None:
    pulled = ModelPulled(host="h", model="m", status="pulling 1a2b", completed_bytes=250_000_000, total_bytes=10**9)
    assert progress(pulled) == "m: pulling 1a2b, 250 MB of 1.0 GB (25%)"
    assert progress(ModelPulled(host="h", model="m", status="pulling manifest")) == "m: pulling manifest"


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", ""], ["preload", "m", "--keep-s", "-1"], ["rm"], ["copy", "m"], ["create", "m"],
        ["create", "m", "--base", "n", "--set", "temperature"], ["create", "m", "--base", ""],
    ],
)  # fmt: skip
def test_what_cannot_be_a_model_is_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", *arguments]) == Exit.USAGE


def test_settings_are_numbers_words_or_lists() -> None:
    asked = ["temperature=0.2", "num_ctx=4096", "stop=<|end|>", "stop=a=b", "penalize_newline=true"]
    assert settings_of(asked) == {
        "temperature": 0.2, "num_ctx": 4096, "stop": ["<|end|>", "a=b"], "penalize_newline": True,
    }  # fmt: skip
