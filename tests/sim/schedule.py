"""What a seed stands for: the goals, and what goes wrong when. The same seed is the same schedule, always."""

from dataclasses import dataclass, replace
from random import Random

from shared.contracts.goals import StepSpec, SubmitGoal
from tests.sim.library import CORPUS, QUESTIONS
from tests.sim.mesh import NAMES, REPLICAS
from tests.sim.sites import LATER, NAMED, RARELY

POINTS = {
    "planner": ("before_begin", "execute", "before_commit", "after_commit", "before_publish", "before_confirm",
                "after_confirm", "before_ack", "after_ack", "before_start", "any"),
    "inference": ("before_begin", "execute", "before_commit", "after_commit", "before_publish", "before_confirm",
                  "after_confirm", "before_ack", "after_ack", "model_call_begun", "model_call_done", "any"),
    "memory": ("execute", "before_commit", "after_commit", "before_ack", "before_publish", "any"),
    "researcher": ("work_between_calls", "before_publish", "before_confirm", "after_confirm", "before_ack", "any"),
    "writer": ("work_between_calls", "before_publish", "before_confirm", "after_confirm", "before_ack", "any"),
}  # fmt: skip
_OFTEN = {"execute": 250, "any": 300, "before_begin": 25, "before_commit": 25, "after_commit": 25, "before_start": 2}
_A = StepSpec(id="a", question=QUESTIONS[0])
SHAPES: tuple[tuple[StepSpec, ...] | None, ...] = (
    (_A,),
    (_A, StepSpec(id="b", question=QUESTIONS[1])),
    (_A, StepSpec(id="b", question=QUESTIONS[1], depends_on=("a",))),
    None,  # the model plans
)
_FIRST = [name for name in NAMED if name not in LATER]
_RARE = [*LATER, *(f"{owner}.{at}" for owner in ("inference", "memory") for at in RARELY)]
_SHAPES = (0, 0, 0, 0, 0, 0, 1, 2, 3)
"""How often which: what is found with one step is found soon."""
POISON = ("run_step.v1", "step_finished.v1", "submit_goal.v1", "remember.v1", "generate.v1")
"""Messages that may kill whoever handles them, each time."""


@dataclass(frozen=True)
class Crash:
    """Kill this process when it passes this point for the nth time (with `function` on its stack, if one is named); it
    comes back after `down_s`."""

    process: str
    point: str
    nth: int
    down_s: float
    noticed: bool
    function: str = ""


@dataclass(frozen=True)
class Trouble:
    """The process's connection breaks (`cut`), or it stands still (`freeze`), or the broker is started again
    (`broker`), for so long: at this time, or (None) as soon as the process is in the middle of a step."""

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
    names: tuple[str, ...] = NAMES
    poison: str | None = None
    """A message type: the first of it kills whoever handles it."""

    @property
    def many(self) -> bool:
        """Whether an owner of data runs twice."""
        return len(self.names) > len(NAMES)

    @property
    def poison_alone(self) -> bool:
        """Nothing goes wrong but that one message kills."""
        return bool(self.poison) and not (self.crashes or self.troubles or self.duplicate)


def schedule_of(seed: int) -> Schedule:
    random = Random(f"warren {seed}")
    goals = tuple(_goal(random, number) for number in range(1 if random.random() < 0.88 else 2))
    names = NAMES + tuple(name for name in REPLICAS if random.random() < 0.6) * (random.random() < 0.2)
    crashes = [crash for _ in range(random.choice((0, 1, 1, 1, 2, 2, 2, 3))) for crash in _crashes(random, names)]
    troubles = [_trouble(random, names) for _ in range(random.choice((0, 1)))]
    cancel = (random.randrange(len(goals)), random.random() * 15) if random.random() < 0.06 else None
    parking = any(crash.function == "Parking.on_dead_letter" for crash in crashes)
    poison = random.choice(POISON) if random.random() < 0.04 or parking else None
    duplicate = random.choice((0.0, 0.0, 0.02, 0.1))
    drawn = Schedule(seed, goals, tuple(crashes), tuple(troubles), cancel, duplicate, names, poison)
    return drawn if parking else _added_later(drawn)


def _added_later(drawn: Schedule) -> Schedule:
    """What most seeds do not have leaves them what they were: draws of its own. A message that kills and nothing else,
    or a crash at a place that was named later, or that is seldom come by."""
    random = Random(f"warren later {drawn.seed}")
    if random.random() < (0.5 if drawn.poison else 0.02):
        poison = drawn.poison or random.choice(POISON)
        return replace(drawn, crashes=(), troubles=(), duplicate=0.0, poison=poison)
    if random.random() < 0.1:
        before, aimed = _before_and_at(random, random.choice(_RARE), drawn.names)
        before = replace(before, point="before_ack", nth=1 + int(random.random() * 4))
        return replace(drawn, crashes=(*drawn.crashes, before, replace(aimed, nth=1)))
    return drawn


def undisturbed(schedule: Schedule) -> Schedule:
    """The same goals, and nothing goes wrong."""
    return Schedule(0, schedule.goals)


def _goal(random: Random, number: int) -> tuple[str, SubmitGoal, float]:
    shape = random.choice(_SHAPES)
    submit = SubmitGoal(
        goal="How do quorum queues and classic queues differ?",
        corpus=CORPUS,
        namespace=f"n{number}",  # else what one remembers changes what the other reads
        steps=SHAPES[shape],
        reply_to="client.sim",
    )
    return f"goal-{number}-{shape}", submit, random.random() * number


def _crashes(random: Random, names: tuple[str, ...]) -> list[Crash]:
    """One, somewhere or at a named place; what happens to what it held is a place for a second one."""
    if random.random() < 0.4:
        return [_anywhere(random, names)]
    return _before_and_at(random, random.choice(_FIRST), names)


def _before_and_at(random: Random, name: str, names: tuple[str, ...]) -> list[Crash]:
    """A crash at a named place; for some an earlier one, without which nothing comes there."""
    service, label, function = NAMED[name]
    process = random.choice([one for one in names if one.rsplit("-", 1)[0] == service])
    aimed = Crash(process, label, 1 + int(random.random() ** 2 * 5), *_after(random), function)
    if "copy" not in name and not name.endswith(".claiming"):
        return [aimed]
    return [Crash(process, random.choice(("before_ack", "any")), 1 + int(random.random() * 20), *_after(random)), aimed]


def _anywhere(random: Random, names: tuple[str, ...]) -> Crash:
    process = random.choice(names)
    service = process.rsplit("-", 1)[0]
    where = random.choice(POINTS[service])
    nth = 1 + int(random.random() ** 2 * _OFTEN.get(where, 30 if service in ("planner", "inference") else 5))
    return Crash(process, where, nth, *_after(random))


def _after(random: Random) -> tuple[float, bool]:
    """How long the process stays down, and whether the watchdog says that it died."""
    return 0.1 + random.random() ** 2 * 5, random.random() < 0.8


def _trouble(random: Random, names: tuple[str, ...]) -> Trouble:
    kind = random.choice(("broker", "cut anyone", "freeze anyone", "cut", "freeze", "freeze"))
    if kind == "broker":
        return Trouble("broker", "broker", random.random() * 12, 0.1 + random.random() * 8)
    if kind.endswith("anyone"):
        return Trouble(kind.split()[0], random.choice(names), random.random() * 15, 0.1 + random.random() * 12)
    worker = random.choice(("researcher-1", "researcher-2", "writer-1"))
    at = None if random.random() < 0.7 else random.random() * 12
    # most who stand still come back at about the time when another has taken over
    longest = 10 if kind == "cut" else 40
    for_s = 18 + random.random() * 12 if kind == "freeze" and random.random() < 0.6 else 5 + random.random() * longest
    return Trouble(kind, worker, at, for_s)
