"""Crash points by name: where, as seen between two awaits, a process was killed. Each must be hit by a full run."""

Frames = tuple[tuple[str, int], ...]

_RELAY, _CONSUMER, _COPY = "Relay._send_group", "Consumer.on_delivery", "BrokerDelivery._copy"
_OWNERS = {
    "in_transaction": ("execute", "Database._run_job"),
    "before_commit": ("before_commit", "Database._commit"),
    "after_commit": ("after_commit", "Database._commit"),
    "after_commit_before_publish": ("before_publish", _RELAY),
    "after_publish_before_confirm": ("before_confirm", _RELAY),
    "after_confirm_before_forget": ("after_confirm", _RELAY),
    "after_commit_before_ack": ("before_ack", _CONSUMER),
    "after_ack": ("after_ack", _CONSUMER),
    "copy_before_publish": ("before_copy", _COPY),
    "copy_after_publish_before_ack": ("before_copy_ack", _COPY),
}
_AGENTS = {
    "before_request": ("before_publish", "Requests.ask"),
    "after_request_before_confirm": ("before_confirm", "Requests.ask"),
    "between_calls": ("work_between_calls", ""),
    "before_result": ("before_publish", "Agent._finish"),
    "after_result_before_confirm": ("before_confirm", "Agent._finish"),
    "after_result_confirm": ("after_confirm", "Agent._finish"),
    "after_result_before_ack": ("before_ack", _CONSUMER),
    "renewing": ("before_confirm", "Agent._pulse"),
}
_ALL = ("planner", "inference", "memory")
LATER = {f"{owner}.copy_after_ack_before_seen": (owner, "before_seen", "") for owner in _ALL}
"""Added later: aimed at with draws of their own, so that a seed stays the schedule that it was."""
RARELY = ("copy_before_publish", "copy_after_publish_before_ack")
"""Of owners that seldom get anything twice: aimed at again."""
NAMED: dict[str, tuple[str, str, str]] = {
    **{f"{owner}.{name}": (owner, *at) for owner in _ALL for name, at in _OWNERS.items()},
    **{f"{agent}.{name}": (agent, *at) for agent in ("researcher", "writer") for name, at in _AGENTS.items()},
    "planner.starting": ("planner", "before_start", ""),
    "planner.in_tick": ("planner", "execute", "Handlers.on_tick"),
    "planner.in_claim": ("planner", "execute", "Handlers.on_claim_step"),
    "planner.in_result": ("planner", "execute", "Handlers.on_step_finished"),
    "planner.in_end": ("planner", "execute", "Progress.end"),
    "planner.parking": ("planner", "execute", "Parking.on_dead_letter"),
    "inference.starting": ("inference", "before_start", ""),
    "inference.claiming_a_call": ("inference", "before_commit", "Calls._fill"),
    "inference.model_call_begun": ("inference", "model_call_begun", ""),
    "inference.model_call_done": ("inference", "model_call_done", ""),
    "inference.result_before_commit": ("inference", "before_commit", "Calls._keep"),
    "inference.result_after_commit": ("inference", "after_commit", "Calls._keep"),
    "memory.starting": ("memory", "before_start", ""),
    "memory.remembering": ("memory", "execute", "FindingStore.remember"),
    "memory.following": ("memory", "execute", "Follower._follow"),
    "researcher.claiming": ("researcher", "before_confirm", "Agent._claimed"),
    "writer.claiming": ("writer", "before_confirm", "Agent._claimed"),
    **LATER,
}
"""Name: (service, label of the point, a function that must be on the stack; "" for any)."""


def names_of(service: str, label: str, frames: Frames) -> list[str]:
    on_stack = {function for function, _ in frames}
    return [
        name
        for name, (owner, at, function) in NAMED.items()
        if owner == service and at == label and (not function or function in on_stack)
    ]
