"""Goal -> plan, without a model: the shape of the question decides how it is cut into steps.

    several questions, or a list of lines       a step each
    "how ... and why ..."                       a step each
    "compare X and Y in a, b and c"             a step per aspect, each asking about both
    "how do X and Y differ"                     the question itself, then one step about each
    "explain A, B and C"                        a step each
    anything else                               one step

A plan of a model, and steps that a goal brings, pass the same checks (`problems`).
"""

import re
from collections.abc import Sequence

from shared.contracts.comparison import comparison, listed, without_source
from shared.contracts.goals import MAX_STEPS, StepSpec
from shared.contracts.words import content_words

WRITE_STEP = "write"
_ASKING = r"(?:how|why|what|when|where|which|who|whose|is|are|does|do|can|should)"
_AND_ASKING = re.compile(rf"(?:,\s*|\s+)and\s+(?={_ASKING}\b)", re.I)
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")
_LIST_OF = re.compile(
    r"^\s*(?P<verb>explain|describe|define|summari[sz]e|list|what\s+(?:is|are)|tell me about)\s+(?P<items>.+)$", re.I
)


def deterministic_plan(goal: str, *, max_steps: int = MAX_STEPS) -> tuple[StepSpec, ...]:
    """At most `max_steps` steps, none of which depends on another. The same goal gives the same plan, always."""
    questions = _cut(goal.strip())
    kept = questions[:max_steps]
    if len(questions) > max_steps:  # what does not fit is asked together rather than dropped
        kept[-1] = " ".join(questions[max_steps - 1 :])
    return tuple(StepSpec(id=f"s{n}", question=q[:4000]) for n, q in enumerate(kept, start=1))


def problems(steps: Sequence[StepSpec], *, max_steps: int = MAX_STEPS) -> list[str]:
    """What is wrong with a plan, each with the field's path; an empty list when nothing is."""
    found = []
    ids = [step.id for step in steps]
    if not steps:
        found.append("steps: there must be at least one")
    if len(steps) > max_steps:
        found.append(f"steps: {len(steps)} are more than max_steps {max_steps}")
    for n, step in enumerate(steps):
        if step.id in ids[:n]:
            found.append(f"steps.{n}.id: {step.id!r} is used twice")
        if step.id == WRITE_STEP:
            found.append(f"steps.{n}.id: {WRITE_STEP!r} is the planner's own last step")
        found += [f"steps.{n}.depends_on: no step {d!r}" for d in step.depends_on if d not in ids]
    if not found and _has_cycle(steps):
        found.append("steps: depends_on runs in a circle")
    return found


def strays(goal: str, steps: Sequence[StepSpec]) -> list[str]:
    """Where a plan is not about the goal: a weak model repeats the example it was shown, or asks about a part only."""
    wanted = set(content_words(goal))
    asked = [set(content_words(step.question)) for step in steps]
    found = [
        f"steps.{n}.question: asks about nothing in the goal" for n, words in enumerate(asked) if not words & wanted
    ]
    missing = sorted(wanted - set().union(*asked))
    if not found and 2 * len(missing) > len(wanted):
        found.append(f"steps: nobody asks about {', '.join(missing)}")
    return found if wanted else []


def _has_cycle(steps: Sequence[StepSpec]) -> bool:
    waiting = {step.id: set(step.depends_on) for step in steps}
    while free := [name for name, needs in waiting.items() if not needs & waiting.keys()]:
        for name in free:
            del waiting[name]
    return bool(waiting)


def _cut(goal: str) -> list[str]:
    lines = [_BULLET.sub("", line).strip() for line in goal.splitlines() if _BULLET.match(line)]
    if len(lines) >= 2:
        return [part for line in lines for part in _cut(line)]
    asked = [q.strip() for q in re.findall(r"[^?]+\?", goal)]
    if len(asked) >= 2:
        whole = [asked[0], *(_with_subject(q, asked[0]) if len(q.split()) < 3 else q for q in asked[1:])]
        return [part for question in whole for part in _cut_one(question)]
    return _cut_one(goal)


def _cut_one(question: str) -> list[str]:
    together = _asked_together(question)
    if together:
        return [part for q in together for part in _compared(q) or [q]]
    return _compared(question) or _listed(question) or [question]


def _compared(goal: str) -> list[str]:
    found = comparison(goal)
    return _comparison(goal, list(found.subjects), list(found.aspects)) if found else []


def _comparison(goal: str, subjects: list[str], aspects: list[str]) -> list[str]:
    both = ", ".join(subjects[:-1]) + " and " + subjects[-1]
    if len(aspects) >= 2:
        return [f"How do {both} differ in {aspect}?" for aspect in aspects]
    about = f" regarding {aspects[0]}" if aspects else ""
    return [goal, *(f"What {_be(subject)} {subject}{about}?" for subject in subjects)]


def _be(subject: str) -> str:
    return "are" if subject.endswith("s") and not subject.endswith(("ss", "us", "is")) and subject.islower() else "is"


def _asked_together(goal: str) -> list[str]:
    """How does X work and why does it need Y? A later part that leans on the first ("it") takes it along."""
    parts = [part.strip(" ,") for part in _AND_ASKING.split(goal.rstrip(" ?.!"))]
    if len(parts) < 2 or not re.match(_ASKING, parts[0], re.I) or len(parts[0].split()) < 3:
        return []
    first = parts[0] + "?"
    return [first, *(_with_subject(part, first) for part in parts[1:])]


def _with_subject(part: str, first: str) -> str:
    question = part[0].upper() + part[1:].rstrip(" ?") + "?"
    leans = len(part.split()) < 3 or re.search(r"\b(it|its|they|their|them|this|that|these|those)\b", part, re.I)
    return f"{question} ({first})" if leans else question


def _listed(goal: str) -> list[str]:
    match = _LIST_OF.match(without_source(goal.rstrip(" ?.!")))
    if not match:
        return []
    items = listed(match["items"])
    if len(items) < 3 or any(len(item.split()) > 6 for item in items):
        return []
    return [f"{match['verb']} {item}".strip() + ("?" if goal.rstrip().endswith("?") else "") for item in items]
