"""What a seed stands for: the goals, and what goes wrong when. The same seed is the same schedule, always."""

from dataclasses import dataclass, field
from random import Random

from shared.contracts.goals import StepSpec, SubmitGoal
from tests.sim.mesh import NAMES

POINTS = {
    "planner": ("before_begin", "execute", "before_commit", "after_commit", "before_publish", "before_confirm",
                "after_confirm", "before_ack", "after_ack", "before_start", "any"),
    "inference": ("before_begin", "execute", "before_commit", "after_commit", "before_publish", "before_confirm",
                  "after_confirm", "before_ack", "model_call_begun", "model_call_done", "any"),
    "researcher": ("work_between_calls", "before_publish", "before_confirm", "after_confirm", "before_ack", "any"),
    "writer": ("work_between_calls", "before_publish", "before_confirm", "after_confirm", "before_ack", "any"),
    "memory": ("before_ack", "before_publish", "any"),
}  # fmt: skip
_OFTEN = {"execute": 250, "any": 300, "before_begin": 25, "before_commit": 25, "after_commit": 25, "before_start": 2}
SHAPES: tuple[tuple[StepSpec, ...] | None, ...] = (
    (StepSpec(id="a", question="What is a?"),),
    (StepSpec(id="a", question="What is a?"), StepSpec(id="b", question="What is b?")),
    (StepSpec(id="a", question="What is a?"), StepSpec(id="b", question="And b?", depends_on=("a",))),
    None,  # the model plans
)


@dataclass(frozen=True)
class Crash:
    """Kill this process when it passes this point for the nth time; it comes back after `down_s`."""

    process: str
    point: str
    nth: int
    down_s: float
    noticed: bool


@dataclass(frozen=True)
class Trouble:
    """The process's connection breaks (`cut`), or it stands still (`freeze`), for so long: at this time, or (None) as
    soon as it is in the middle of a step."""

    kind: str
    process: str
    at: float | None
    for_s: float


@dataclass(frozen=True)
class Schedule:
    seed: int
    goals: tuple[tuple[str, SubmitGoal, float], ...]
    """Message id, goal, when."""
    crashes: tuple[Crash, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    cancel: tuple[int, float] | None = None
    duplicate: float = 0.0
    extra: dict[str, str] = field(default_factory=dict)


def schedule_of(seed: int) -> Schedule:
    random = Random(f"warren {seed}")
    goals = []
    for number in range(1 if random.random() < 0.75 else 2):
        shape = random.randrange(len(SHAPES))
        submit = SubmitGoal(goal=f"Compare things {shape}", steps=SHAPES[shape], reply_to="client.sim")
        goals.append((f"goal-{number}-{shape}", submit, random.random() * number))
    crashes = [_crash(random) for _ in range(random.choice((0, 1, 1, 1, 2, 2, 2, 3)))]
    troubles = [_trouble(random) for _ in range(random.choice((0, 0, 1)))]
    cancel = (random.randrange(len(goals)), random.random() * 15) if random.random() < 0.06 else None
    return Schedule(seed, tuple(goals), tuple(crashes), tuple(troubles), cancel, random.choice((0.0, 0.0, 0.02, 0.1)))


def undisturbed(schedule: Schedule) -> Schedule:
    """The same goals, and nothing goes wrong."""
    return Schedule(0, schedule.goals)


def _crash(random: Random) -> Crash:
    process = random.choice((*NAMES[:-1], "planner-1", "inference-1"))
    if random.random() < 0.04:
        process = "memory-1"
    service = process.rsplit("-", 1)[0]
    where = random.choice(POINTS[service])
    nth = 1 + int(random.random() ** 2 * _OFTEN.get(where, 30 if service in ("planner", "inference") else 5))
    return Crash(process, where, nth, 0.1 + random.random() ** 2 * 5, random.random() < 0.8)


def _trouble(random: Random) -> Trouble:
    worker = random.choice(("researcher-1", "researcher-2", "writer-1"))
    kind = random.choice(("cut anyone", "cut", "cut", "freeze"))
    if kind == "cut anyone":
        return Trouble("cut", random.choice(NAMES), random.random() * 15, 0.1 + random.random() * 12)
    at = None if random.random() < 0.7 else random.random() * 12
    return Trouble(kind, worker, at, 5 + random.random() * (10 if kind == "cut" else 40))
