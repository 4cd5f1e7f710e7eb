"""JSON Schemas of all contracts (draft 2020-12), for whoever speaks to the mesh in another language. Pure."""

import re
from typing import Any

from shared.contracts.catalogue import CONTRACTS
from shared.contracts.message import Command, Message

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ANSWER = re.compile(r"(?:Answered by|is) `(\w+)`")


def schemas() -> dict[str, dict[str, Any]]:
    """`submit_goal.v1` -> its schema, in the catalogue's order."""
    return {name: schema(contract) for name, contract in CONTRACTS.items()}


def schema(contract: type[Message]) -> dict[str, Any]:
    """What a body of this contract must look like. Fields with a default may be left out; unknown ones are refused."""
    generated = contract.model_json_schema(mode="validation")
    head = {"$schema": DIALECT, "$id": f"urn:warren:{contract.type_name()}"}
    return {**head, **generated, "title": contract.type_name()}


def answer_to(command: type[Command]) -> type[Message] | None:
    """The reply that a command is answered with, as its docstring says; None for commands that expect no reply."""
    by_class = {contract.__name__: contract for contract in CONTRACTS.values()}
    found = _ANSWER.search(" ".join((command.__doc__ or "").split()))
    return by_class.get(found[1]) if found else None
