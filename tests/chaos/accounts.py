"""The accounts after a run: from the ledger, the planner's own word, the model server's calls and the faults. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.testing.stub_ollama import Call
from tests.chaos.ledger import Entry
from tests.chaos.plan import Fault

ENDED = ("done", "failed", "cancelled")
GRACE_S = 2.0
"""A call that ended so shortly before inference was hit may not have been written down yet: it was in flight."""


@dataclass(frozen=True)
class Told:
    """What the planner says of a goal. `ends`: end events; `gaps`: numbers missing among its events' sequence."""

    status: str
    ends: int
    gaps: int
    reason: str | None = None


def accounts(
    entries: Iterable[Entry], told: Mapping[str, Told], calls: Sequence[Call], faults: Sequence[Fault]
) -> dict[str, Any]:
    """`told` by goal id; a goal that it does not have is unknown to the planner. Times in seconds."""
    confirmed = [entry for entry in entries if entry.confirmed_at is not None]
    known = [(entry, told[entry.goal_id]) for entry in confirmed if entry.goal_id in told]
    statuses = Counter(says.status for _, says in known)
    twice = paid_twice(calls, faults)
    return {
        "confirmed": len(confirmed),
        **{status: statuses[status] for status in ENDED},
        "lost": sorted(e.goal_id for e in confirmed if _lost(e, told.get(e.goal_id))),
        "duplicated": sorted(e.goal_id for e, says in known if _duplicated(e, says)),
        "stuck": sorted(e.goal_id for e, says in known if says.status not in ENDED),
        "event_gaps": sum(says.gaps for _, says in known),
        "answers_delivered_again": sum(len(e.answers) - len({a.digest for a in e.answers}) for e in confirmed),
        "failure_reasons": dict(Counter(says.reason or "?" for _, says in known if says.status == "failed")),
        "model_calls": len(calls),
        "model_calls_cut": sum(not call.finished for call in calls),
        "calls_paid_twice": len(twice),
        "tokens_paid_twice": sum(call.tokens_in + call.tokens_out for call in twice),
        "kills": _by_service(faults),
        "recovery_s": _recoveries(faults),
        "not_recovered": [f"{fault.kind} {fault.instance}" for fault in faults if fault.recovered_at is None],
    }


def paid_twice(calls: Sequence[Call], faults: Sequence[Fault]) -> list[Call]:
    """Calls made again although the one before had been answered. Those in flight when inference was hit are not
    among them, nor those that name no goal (two goals may ask the same)."""
    hits = [(f.at - GRACE_S, f.recovered_at or float("inf")) for f in faults if f.service == "inference"]
    before: dict[str, Call] = {}
    again = []
    for call in sorted((c for c in calls if c.mark), key=lambda c: c.began):
        first = before.get(call.hash)
        if first and first.finished and not any(_overlap(first, *hit) for hit in hits):
            again.append(call)
        before[call.hash] = call
    return again


def _overlap(call: Call, begin: float, end: float) -> bool:
    return call.began <= end and (call.ended or float("inf")) >= begin


def _lost(entry: Entry, says: Told | None) -> bool:
    """The planner does not know it, or it ended and nobody was told."""
    return says is None or (says.status in ENDED and not entry.answers)


def _duplicated(entry: Entry, says: Told) -> bool:
    """More than one end, or answers that differ; the same answer delivered again is not."""
    return says.ends > 1 or len({answer.digest for answer in entry.answers}) > 1


def _by_service(faults: Sequence[Fault]) -> dict[str, dict[str, int]]:
    services = sorted({fault.service for fault in faults})
    return {name: dict(Counter(f.kind for f in faults if f.service == name)) for name in services}


def _recoveries(faults: Sequence[Fault]) -> dict[str, dict[str, float]]:
    found = {}
    for kind in sorted({f"{fault.kind} {fault.service}" for fault in faults}):
        times = sorted(f.recovery_s for f in faults if f"{f.kind} {f.service}" == kind and f.recovery_s is not None)
        if times:
            found[kind] = {
                "n": len(times), "p50": round(_quantile(times, 0.5), 2), "p99": round(_quantile(times, 0.99), 2),
                "max": round(times[-1], 2),
            }  # fmt: skip
    return found


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def passed(figures: Mapping[str, Any]) -> bool:
    return not (figures["lost"] or figures["duplicated"] or figures["stuck"] or figures["calls_paid_twice"])


def table(figures: Mapping[str, Any]) -> str:
    """For people."""
    counts = ("confirmed", "done", "failed", "cancelled", "lost", "duplicated", "stuck")
    money = ("model_calls", "model_calls_cut", "calls_paid_twice", "tokens_paid_twice", "answers_delivered_again")
    rows = [
        (name, _count(figures[name])) for name in (*counts, "event_gaps", *money, "dead_letters") if name in figures
    ]
    lines = [f"  {name.replace('_', ' '):<26}{value:>8}" for name, value in rows]
    lines += [f"  failed: {count} x {reason[:100]}" for reason, count in figures["failure_reasons"].items()]
    if not figures["model_calls"]:
        lines.append("  NO MODEL CALLS: the mesh did not reach the stub and quoted; nothing is shown about calls")
    landed = sum(sum(kinds.values()) for kinds in figures["kills"].values())
    lines.append(
        f"\n  {landed} faults landed on working services       n     p50     p99     max  (s to the next message)"
    )
    for kind, figure in figures["recovery_s"].items():
        lines.append(f"    {kind:<40}{figure['n']:>5}{figure['p50']:>8.2f}{figure['p99']:>8.2f}{figure['max']:>8.2f}")
    lines += [f"    not recovered: {what}" for what in figures["not_recovered"]]
    return "\n".join(lines)


def _count(value: Any) -> int:
    return len(value) if isinstance(value, list) else int(value)
