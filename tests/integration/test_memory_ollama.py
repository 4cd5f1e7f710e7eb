"""Memory and inference as processes on a real broker, with a real Ollama: a corpus is embedded, found by meaning."""

import base64
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import pytest

from shared.contracts import library as lib
from shared.contracts.message import Done
from shared.runtime.client import Client
from tests.integration.test_inference_service import inference
from tests.integration.test_ollama import ollama_url  # noqa: F401  (fixture)
from tests.integration.waiting import wait_until

DEADLINE_S = 120.0
TEXTS = {
    "cats.txt": b"A cat sleeps for most of the day and hunts at dusk.",
    "money.txt": b"The central bank raised interest rates by half a percent.",
    "engines.txt": b"A diesel engine ignites its fuel by compression alone.",
}
pytestmark = [pytest.mark.docker, pytest.mark.ollama, pytest.mark.timeout(600)]


@contextmanager
def memory(home: Path, amqp_url: str, **settings: str) -> Iterator[None]:
    """The service as a process of its own, and its log on failure."""
    own = {"WARREN_HOME": str(home), "WARREN_AMQP_URL": amqp_url, "WARREN_INSTANCE": "memory-1"}
    environment = {**os.environ, **own, "WARREN_BEAT_FILE": str(home / "beat"), "WARREN_LOG_FORMAT": "text", **settings}
    with (home / "log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", "services.memory"], env=environment, stdout=log, stderr=log)
    try:
        beat = home / "beat"
        wait_until(lambda: beat.exists() and '"ready": true' in beat.read_text(), deadline_s=DEADLINE_S, what="memory")
        yield
    finally:
        process.terminate()
        process.wait(30)
        print((home / "log").read_text())


async def test_a_corpus_is_embedded_and_found_by_what_it_means(
    ollama_url: str,  # noqa: F811
    amqp_url: str,
    tmp_path: Path,
) -> None:
    homes = [tmp_path / name for name in ("inference", "memory")]
    for home in homes:
        home.mkdir()
    query = lib.Search(corpora=("a",), query="kitten nap")
    with inference(homes[0], amqp_url, WARREN_OLLAMA_URLS=ollama_url), memory(homes[1], amqp_url):
        async with Client.connect(amqp_url) as client:
            await _add(client, "a")
            found = await _searched(client, query)
    assert found.embedder == "ollama/all-minilm:latest"
    assert found.passages[0].source == "cats.txt"  # none of its words is asked for


async def test_where_it_is_turned_off_words_decide_and_nothing_is_embedded(
    ollama_url: str,  # noqa: F811
    amqp_url: str,
    tmp_path: Path,
) -> None:
    with memory(tmp_path, amqp_url, WARREN_SEARCH_VECTORS="false"):
        async with Client.connect(amqp_url) as client:
            added = await _add(client, "a")
            search = lib.Search(corpora=("a",), query="kitten nap", watermark=added.watermark)
            found = await client.ask(search, lib.PassagesFound, deadline_s=DEADLINE_S)
    assert (found.found_by, found.passages, found.documents) == ("words", (), 3)
    assert "embed" not in (tmp_path / "log").read_text()


async def _add(client: Client, corpus: str) -> lib.TransferFinished:
    transfer = uuid4().hex
    files = tuple(lib.OfferedFile(name=n, sha256=sha256(d).hexdigest(), size=len(d)) for n, d in TEXTS.items())
    offer = lib.OfferDocuments(corpus=corpus, transfer_id=transfer, files=files)
    await client.ask(offer, lib.DocumentsWanted, deadline_s=DEADLINE_S)
    for data in TEXTS.values():
        chunk = lib.PutChunk(
            transfer_id=transfer,
            sha256=sha256(data).hexdigest(),
            index=0,
            count=1,
            data=base64.b64encode(data).decode(),
        )
        await client.ask(chunk, Done, deadline_s=DEADLINE_S)
    return await client.ask(lib.FinishTransfer(transfer_id=transfer), lib.TransferFinished, deadline_s=DEADLINE_S)


async def _searched(client: Client, query: lib.Search) -> lib.PassagesFound:
    """By vectors: they come in the background, and until then words answer."""
    until = time.monotonic() + DEADLINE_S
    while time.monotonic() < until:
        found = await client.ask(query, lib.PassagesFound, deadline_s=DEADLINE_S)
        if found.found_by != "words" and {passage.source for passage in found.passages} == set(TEXTS):
            return found
    raise AssertionError("the passages were not embedded in time")
