"""All contracts by type name: what `consume.py` decodes and what `docs/` documents."""

from shared.contracts import (
    dead_letters,
    findings,
    generation,
    goals,
    library,
    message,
    models,
    redrive,
    sessions,
    steps,
    stream,
    supervision,
    tokens,
)
from shared.contracts.message import Message

CONVERSATIONS = (
    goals, redrive, steps, generation, stream, sessions, tokens, models, library, findings, dead_letters, supervision,
    message,
)  # fmt: skip


def _contracts() -> dict[str, type[Message]]:
    found = {}
    for module in CONVERSATIONS:
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Message) and "name" in value.__dict__:
                found[value.type_name()] = value
    return found


CONTRACTS: dict[str, type[Message]] = _contracts()
"""`submit_goal.v1` -> SubmitGoal, for every contract there is."""
