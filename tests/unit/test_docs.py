"""What is generated into `docs/` is what the code says now, and what is written there by hand holds."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from docs.examples.agent import definitions
from docs.generate import HERE, files
from shared.contracts.catalogue import CONTRACTS
from shared.contracts.goals import SubmitGoal
from shared.contracts.library import Passage
from shared.contracts.message import Command
from shared.contracts.schemas import answer_to
from shared.messaging.asyncapi import asyncapi
from shared.messaging.topology import bindings

ROOT = HERE.parent
GENERATED = files()
PAGES = sorted([*HERE.glob("*.md"), *HERE.glob("decisions/*.md"), ROOT / "README.md"])
WITHOUT_ANSWER = {"run_step.v1"}
"""Commands that are answered by an event."""


@pytest.mark.parametrize("name", GENERATED)
def test_generated_files_are_up_to_date(name: str) -> None:
    assert (HERE / name).read_text() == GENERATED[name], "run `make docs` and commit what it writes"


def test_nothing_else_is_in_the_folder_of_schemas() -> None:
    there = {f"contracts/{file.name}" for file in (HERE / "contracts").iterdir()}
    assert there == {name for name in GENERATED if name.startswith("contracts/")}


def test_every_command_says_what_answers_it() -> None:
    silent = {c.type_name() for c in CONTRACTS.values() if issubclass(c, Command) and answer_to(c) is None}
    assert silent == WITHOUT_ANSWER


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = asyncapi()
    for reference in _references(document):
        file, _, pointer = reference.partition("#")
        if file:
            assert (HERE / file).exists(), reference
            continue
        found: Any = document
        for part in pointer.removeprefix("/").split("/"):
            assert part in found, reference
            found = found[part]


def test_every_binding_of_the_topology_is_in_the_asyncapi_document() -> None:
    told = [
        (binding["exchange"], channel["address"], binding["routing_key"])
        for channel in asyncapi()["channels"].values()
        for binding in channel.get("x-bindings", [])
    ]
    assert sorted(told) == sorted((b.exchange, b.queue, b.key) for b in bindings())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_contracts_and_routing_keys_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text()
    keys = {c.key() for c in CONTRACTS.values() if issubclass(c, Command)}
    for key in re.findall(r"\bcmd\.[a-z_]+\.[a-z_]+\.v\d+\b", text):
        assert key in keys or key.endswith(".run_step.v1"), key
    for name in re.findall(r"\bevt\.[a-z_*]+\.([a-z_]+\.v\d+)\b", text):
        assert name in CONTRACTS, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_goals_that_a_page_shows_would_be_accepted(page: Path) -> None:
    for block in re.findall(r"```json\n(.*?)```", page.read_text(), re.S):
        document = json.loads(block)
        if set(document) <= set(SubmitGoal.model_fields):
            SubmitGoal.model_validate(document)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_that_a_page_shows_compiles(page: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.S):
        compile(block, str(page), "exec")


def test_the_example_agent_quotes_verbatim_spans() -> None:
    text = "Leases are useful. A lease is a lock with an end. It ends."
    passage = Passage(passage_id="p", source="leases.md", sha256="0" * 64, start=100, end=100 + len(text), text=text)
    (found,) = definitions(passage)
    assert found.quote == "A lease is a lock with an end."
    assert text[found.start - passage.start : found.end - passage.start] == found.quote


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        here = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return here + [found for each in value.values() for found in _references(each)]
    if isinstance(value, list):
        return [found for each in value for found in _references(each)]
    return []
