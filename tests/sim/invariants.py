"""What must hold after every schedule: the guarantees, read from the stores, the wire and the model server's bill."""

import json
from collections import Counter
from typing import Any

from shared.contracts.goals import ENDED, SubmitGoal
from shared.contracts.steps import StepFinished
from shared.messaging.topology import COMMANDS, EVENTS
from tests.sim.owners import stores
from tests.sim.schedule import Schedule, undisturbed
from tests.sim.world import CLIENT, World

MOST_DEATHS = 3
"""Of one copy of a message: beside others, alone, and once more alone. Then it is a dead letter. An author that died
before it knew of its confirm sends another copy, which nobody can tell from the first until one of them is handled."""
END_EVENTS = {"goal_completed", "goal_failed", "goal_cancelled"}


def broken(world: World) -> list[str]:
    """Each guarantee that does not hold, in a sentence; nothing when all do."""
    found = list(world.violations) + world.loop.errors
    if world.stuck:
        outbox = {name: len(store.rows("SELECT id FROM outbox")) for name, store in stores().items()}
        found.append(f"stuck: queues {set(world.broker.busy()) - {CLIENT}}, outbox rows {outbox}")
    goals = {row.goal_id: json.loads(row.body) for row in stores()["planner"].rows("SELECT goal_id, body FROM goals")}
    letters = stores()["planner"].rows("SELECT reason, type, queue FROM parked")
    never = {goal_id for goal_id in world.goal_ids if goal_id not in goals}
    if never and not (world.schedule.poison == SubmitGoal.type_name() and len(never) == 1 and letters):
        found.append(f"goals accepted {sorted(goals)}, submitted {sorted(world.goal_ids)}")
    found += [f"goal {goal_id[:8]}: no answer" for goal_id in never - set(world.answers())]
    killers = sum("more than once" in letter.reason for letter in letters)
    found += [f"dead letter: {x.type} in {x.queue}: {x.reason}" for x in letters if "more than once" not in x.reason]
    cancelled = {world.goal_ids[world.schedule.cancel[0]]} if world.schedule.cancel else set()
    for goal_id, goal in goals.items():
        found += _goal(world, goal_id, goal, spared=goal_id in cancelled or killers > 0)
    found += _paid(world, goals)
    if world.schedule.poison_alone:
        found += _killed(world)
    return found


def _killed(world: World) -> list[str]:
    """A copy of our own making (to the suspects, to the dead letters) is not sent by the author."""
    sent = Counter(out.message_id for out in world.broker.published if out.exchange in (COMMANDS, EVENTS))
    return [
        f"message {message_id[:8]}, sent {sent[message_id]} times, killed its process {times} times"
        for message_id, times in world.deaths.items()
        if times > MOST_DEATHS * max(sent[message_id], 1)
    ]


def _goal(world: World, goal_id: str, goal: dict[str, Any], *, spared: bool) -> list[str]:
    found, name = [], goal_id[:8]
    if goal["status"] not in ENDED or (goal["status"] != "done" and not spared):
        found.append(f"goal {name} is {goal['status']}: {goal['reason']}")
    events = _events(goal_id)
    if [event["seq"] for event in events] != list(range(1, len(events) + 1)) or len(events) != goal["last_seq"]:
        found.append(f"goal {name}: events {[event['seq'] for event in events]}, last_seq {goal['last_seq']}")
    ends = [event["event"] for event in events if event["event"] in END_EVENTS]
    if len(ends) != 1 or events[-1]["event"] != ends[0]:
        found.append(
            f"goal {name}: its end events are {ends}, its last event {events[-1]['event'] if events else None}"
        )
    told = {json.loads(out.body)["seq"] for out in world.broker.published if _is_event_of(out, goal_id)}
    if told != {event["seq"] for event in events}:
        found.append(f"goal {name}: events {sorted({e['seq'] for e in events} - told)} were never published")
    answers = world.answers().get(goal_id, set())
    if len(answers) != 1:
        found.append(f"goal {name}: {len(answers)} different final answers")
    found += _steps(world, goal_id, goal, events)
    if goal["status"] == "done":
        if not spared and state_of(goal_id, goal) != _known.get(_key(world.schedule.goals), {}).get(goal_id):
            found.append(f"goal {name}: final state differs from the undisturbed run's")
        if not spared and remembered(goal_id) != _known.get(_key(world.schedule.goals), {}).get(
            f"{goal_id} remembered"
        ):
            found.append(f"goal {name}: what is remembered of it differs from the undisturbed run's")
    return found


def _steps(world: World, goal_id: str, goal: dict[str, Any], events: list[dict[str, Any]]) -> list[str]:
    """Each step ended once; the result that counts is that of the lease that was valid; nothing counted twice."""
    found = []
    results = {
        (r.step, r.fence, r.worker)
        for out in world.broker.published
        if out.type == StepFinished.type_name() and out.goal_id == goal_id
        for r in [StepFinished.model_validate_json(out.body)]
    }
    for step in _step_rows(goal_id):
        valid = (step["spec"]["id"], step["fence"], step["worker"])
        ended = [e for e in events if e["step"] == valid[0] and e["event"] in ("step_finished", "step_failed")]
        if step["state"] in ("done", "failed") and len(ended) != 1:
            found.append(f"step {valid[0]} of {goal_id[:8]} ended {len(ended)} times")
        if step["state"] == "done" and valid not in results:
            found.append(f"step {valid[0]} of {goal_id[:8]}: counted a result that is not of the valid lease {valid}")
        late = [(e["step"], e["data"]["fence"], e["worker"]) for e in events if e["event"] == "late_result_refused"]
        if step["state"] == "done" and valid in late:
            found.append(f"step {valid[0]} of {goal_id[:8]}: the valid result was handled twice")
    return found


def _paid(world: World, goals: dict[str, Any]) -> list[str]:
    found = []
    for call, times in world.model.begun.items():
        allowed = 1 + world.model.cut[call]
        ended = goals.get(world.model.goals[call], {}).get("status")
        if times > allowed and ended == "done":
            found.append(f"generation {call[:8]} was begun {times} times, {allowed} allowed")
    return found


def _is_event_of(out: Any, goal_id: str) -> bool:
    return out.type == "goal_event.v1" and out.goal_id == goal_id


def _events(goal_id: str) -> list[dict[str, Any]]:
    rows = stores()["planner"].rows(f"SELECT body FROM events WHERE goal_id = '{goal_id}' ORDER BY seq")
    return [json.loads(row.body) for row in rows]


def _step_rows(goal_id: str) -> list[dict[str, Any]]:
    rows = stores()["planner"].rows(f"SELECT body FROM steps WHERE goal_id = '{goal_id}' ORDER BY run, position")
    return [json.loads(row.body) for row in rows]


def state_of(goal_id: str, goal: dict[str, Any]) -> str:
    """All that a goal leaves behind, times and counts of messages apart."""
    bundle = {**(goal["bundle"] or {}), "stats": None}
    steps = [
        (s["spec"], s["state"], s["result"], {k: v for k, v in s["usage"].items() if k != "model_s"})
        for s in _step_rows(goal_id)
    ]
    return json.dumps([bundle, steps, goal["engine"], goal["reason"]], sort_keys=True)


def remembered(goal_id: str) -> str:
    """What memory keeps of a goal: its findings and what they pin."""
    query = f"FROM findings WHERE goal_id = '{goal_id}' ORDER BY"
    kept = stores()["memory"].rows(f"SELECT finding_id, namespace, number, text, corpora, evidence {query} number")
    pins = stores()["memory"].rows(f"SELECT text_sha256, namespace FROM pins WHERE goal_id = '{goal_id}' ORDER BY 1")
    return json.dumps([list(map(list, kept)), list(map(list, pins))])


_known: dict[tuple[str, ...], dict[str, str]] = {}
"""By the goals' message ids: what an undisturbed run leaves behind."""


def remember_undisturbed(schedule: Schedule) -> list[str]:
    """Runs the goals of a schedule without any trouble, once for each set of them; what was wrong even so."""
    calm = undisturbed(schedule)
    key = _key(calm.goals)
    if key in _known:
        return []
    world = World(calm).run()
    rows = stores()["planner"].rows("SELECT goal_id, body FROM goals")
    _known[key] = {row.goal_id: state_of(row.goal_id, json.loads(row.body)) for row in rows}
    _known[key] |= {f"{row.goal_id} remembered": remembered(row.goal_id) for row in rows}
    return broken(world)


def _key(goals: Any) -> tuple[str, ...]:
    return tuple(message_id for message_id, _, _ in goals)
