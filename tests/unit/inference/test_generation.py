"""Engine choice, the ledger's decisions, the order of calls, and what is cut from a stream."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from services.inference.generation import (
    Entry,
    Host,
    Model,
    call_id,
    choose_embedder,
    choose_engine,
    ledger_says,
    repeats_from,
    request_hash,
    without_thinking,
)
from tests.unit.inference.requests import generate

URL = "http://127.0.0.1:11434"
REFUSED = f"{URL} refused: Ollama on Linux listens on 127.0.0.1 only, set OLLAMA_HOST=0.0.0.0 or use --profile ollama"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def host(*models: Model, url: str = URL) -> Host:
    return Host(url, models)


def test_auto_without_a_host_quotes_and_says_why() -> None:
    choice = choose_engine("auto", configured="", hosts=[Host(URL, error=REFUSED)])
    assert choice.engine == "extractive"
    assert choice.reason == f"no model: {REFUSED}"


def test_a_named_engine_is_not_replaced() -> None:
    choice = choose_engine("ollama/x", configured="", hosts=[Host(URL, error=REFUSED)])
    assert not choice.usable
    assert choice.reason == REFUSED
    assert not choose_engine("gpt/x", configured="", hosts=[]).usable


def test_auto_takes_the_loaded_model_then_the_one_nearest_8b() -> None:
    small, middle, large = Model("a", 4e9), Model("b", 9e9), Model("c", 70e9)
    assert choose_engine("auto", configured="", hosts=[host(small, middle, large)]).engine == "ollama/b"
    loaded = Model("c", 70e9, loaded=True)
    assert choose_engine("auto", configured="", hosts=[host(small, middle, loaded)]).engine == "ollama/c"


def test_auto_never_takes_an_embedding_model_or_a_tiny_one() -> None:
    tiny, embedder = Model("gemma3:270m", 268e6), Model("all-minilm:latest", 23e6, chats=False, embeds=True)
    choice = choose_engine("auto", configured="", hosts=[host(tiny, embedder)])
    assert choice.engine == "extractive"
    assert "only models under 3B (gemma3:270m)" in (choice.reason or "")
    named = choose_engine("auto", configured="ollama/gemma3:270m", hosts=[host(tiny, embedder)])
    assert (named.engine, named.reason) == ("ollama/gemma3:270m", None)
    assert choose_embedder([host(tiny, embedder)], "") is not None


def test_a_missing_model_says_how_to_get_it() -> None:
    choice = choose_engine("auto", configured="ollama/qwen3:8b", hosts=[host(Model("x", 4e9))])
    assert choice.reason == f"no model: {URL} does not have qwen3:8b: `ollama pull qwen3:8b`"


def test_the_least_busy_host_is_taken_and_among_equals_the_one_that_has_it_loaded() -> None:
    cold, warm = host(Model("m", 8e9), url="http://a"), host(Model("m", 8e9, loaded=True), url="http://b")
    assert choose_engine("auto", configured="", hosts=[cold, warm]).url == "http://b"
    assert choose_engine("auto", configured="", hosts=[cold, warm], busy={"http://b": 1}).url == "http://a"


def test_a_host_to_avoid_is_taken_only_if_no_other_has_the_model() -> None:
    bad, good = host(Model("m", 8e9, loaded=True), url="http://a"), host(Model("m", 8e9), url="http://b")
    busy = {"http://b": 9}
    assert choose_engine("auto", configured="", hosts=[bad, good], busy=busy, avoid={"http://a"}).url == "http://b"
    assert choose_engine("auto", configured="", hosts=[bad], avoid={"http://a"}).url == "http://a"


def test_extractive_by_choice_needs_no_excuse() -> None:
    assert choose_engine("auto", configured="extractive", hosts=[]).reason is None
    assert choose_engine("extractive", configured="ollama/x", hosts=[]).engine == "extractive"


def test_what_the_ledger_says() -> None:
    assert ledger_says(None) == "new"
    assert ledger_says(Entry("i", "h", "waiting")) == "join"
    assert ledger_says(Entry("i", "h", "running")) == "join"
    assert ledger_says(Entry("i", "h", "done")) == "answer"
    assert ledger_says(Entry("i", "h", "done", failed=True)) == "again"


def test_the_key_is_the_call_and_the_hash_is_what_was_asked() -> None:
    one, other = generate(), generate(step="s2")
    assert call_id(one.call) != call_id(other.call)
    assert request_hash(one) == request_hash(other) == request_hash(generate(priority=9, deadline_at=NOW, stream=True))
    assert request_hash(one) != request_hash(generate(max_tokens=7))
    assert call_id(generate(epoch=1).call) != call_id(one.call)


def test_reasoning_that_leaks_is_dropped() -> None:
    assert without_thinking("so let me see</think>\nQueues hold messages.") == "Queues hold messages."
    assert without_thinking("<think>hm</think>Yes.") == "Yes."
    assert without_thinking("<think>never closed") == ""
    assert without_thinking("Plain.") == "Plain."


def test_a_stream_that_goes_round_is_cut_after_the_first_round() -> None:
    sentence = "The broker stores the message on disk [p1]. "
    text = "First. " + sentence * 3
    assert text[: repeats_from(text)].rstrip(". ") == ("First. " + sentence).rstrip(". ")
    assert repeats_from("ha" * 40) is not None
    assert repeats_from("A queue holds messages. A topic routes messages. A stream keeps messages.") is None


@given(st.text(alphabet="abcdefghij .", max_size=200))
def test_the_cut_is_always_within_the_text(text: str) -> None:
    cut = repeats_from(text)
    assert cut is None or 0 < cut <= len(text)


def test_no_gateway_gets_all_documents_that_nobody_named_for_it() -> None:
    gateway = Host("https://gateway", (Model("text-embedding-3", chats=False, embeds=True),), provider="openai")
    own = Host("http://127.0.0.1:11434", (Model("all-minilm:latest", chats=False, embeds=True),))
    assert choose_embedder([gateway], "") is None
    assert choose_embedder([gateway, own], "") == (own, own.models[0])
    assert choose_embedder([gateway, own], "openai/text-embedding-3") == (gateway, gateway.models[0])
