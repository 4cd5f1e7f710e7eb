"""Requests for tests."""

from typing import Any

from shared.contracts.generation import CallKey, ChatMessage, Generate, InputPassage, Inputs

PASSAGES = (
    InputPassage(
        id="p1",
        title="Queues",
        text="A quorum queue replicates its messages to several nodes. A classic queue keeps one copy of each message.",
    ),
    InputPassage(
        id="p2", title="Retries", text="A failed message is retried five times. Backoff doubles at each attempt."
    ),
)


def generate(question: str = "How do quorum queues and classic queues differ?", **changes: Any) -> Generate:
    """A research call. `goal_id`, `step`, `epoch`, `purpose`, `ordinal` go into its key. Sampled, so that
    each call is made: equal ones with temperature 0 would share one."""
    key = {name: changes.pop(name) for name in ("goal_id", "step", "epoch", "purpose", "ordinal") if name in changes}
    call = CallKey(**{"goal_id": "g1", "step": "s1", "purpose": "research", **key})
    fields = {
        "engine": "auto",
        "messages": (ChatMessage(role="user", content=question),),
        "temperature": 0.1,
        **changes,
    }
    return Generate(call=call, inputs=Inputs(question=question, passages=PASSAGES), **fields)
